// Answers how often this process has seen the given id: a request served twice shows.
import { createServer } from 'node:http'

const seen = new Map()
createServer((request, response) => {
  const id = new URL(request.url, 'http://app').searchParams.get('id')
  seen.set(id, (seen.get(id) ?? 0) + 1)
  response.end(String(seen.get(id)))
}).listen(Number(process.env.PORT || 8080))
