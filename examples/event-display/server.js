// Prints each event it gets. An answer without a body says: taken, and no event of my own.
import { createServer } from 'node:http'

createServer((request, response) => {
  let data = ''
  request.setEncoding('utf8').on('data', (chunk) => (data += chunk))
  request.on('end', () => {
    const { 'ce-id': id, 'ce-type': type, 'ce-source': source } = request.headers
    if (id !== undefined) console.log(`${type} ${id} from ${source}: ${data}`)
    response.writeHead(204).end()
  })
}).listen(process.env.PORT)
