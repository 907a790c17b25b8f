// The two programs of the book's Parallel: with EXPRESSION and CASES the switcher (villardl/switcher-nodejs), which lets
// an event pass at the path of its case; with TRANSFORMER the transformer (villardl/transformer-nodejs).
const { createServer } = require('node:http')
const { createContext, Script } = require('node:vm')

const { EXPRESSION, CASES, TRANSFORMER } = process.env
if (EXPRESSION === undefined && TRANSFORMER === undefined) {
  process.stderr.write('environment variable TRANSFORMER is missing.\n')
  process.exit(1)
}
const cases = JSON.parse(CASES ?? '[]')
const program = new Script(TRANSFORMER ?? EXPRESSION)

const server = createServer((request, response) => {
  let body = ''
  request.setEncoding('utf8').on('data', (chunk) => (body += chunk))
  request.on('end', () => {
    const event = { data: JSON.parse(body) }
    for (const [name, value] of Object.entries(request.headers))
      if (name.startsWith('ce-')) event[name.slice(3)] = value
    process.stdout.write(`Receiving a Cloud Event: ${JSON.stringify(event, null, 2)}\n`)
    const { host: _host, 'content-length': _length, connection: _, ...headers } = request.headers
    const type = 'application/json; charset=utf-8'
    const reply = (value) =>
      response.writeHead(200, { ...headers, 'content-type': type }).end(JSON.stringify(value))
    const value = program.runInContext(createContext({ event, env: process.env }))
    if (TRANSFORMER !== undefined) return reply(value)
    const at = cases.indexOf(value)
    return request.url === `/${at}` ? reply(event) : response.writeHead(200).end()
  })
})
server.listen(process.env.PORT ?? 8080)
process.on('SIGTERM', () => server.close(() => process.exit(0)))
