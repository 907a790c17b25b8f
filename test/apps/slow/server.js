// Starts to listen after START_MS, answers after the milliseconds that the query asks for.
import { createServer } from 'node:http'

const server = createServer((request, response) => {
  const wait = Number(new URL(request.url, 'http://app').searchParams.get('ms') ?? 0)
  setTimeout(() => response.end('done\n'), wait)
})
setTimeout(() => server.listen(Number(process.env.PORT || 8080)), Number(process.env.START_MS || 0))
