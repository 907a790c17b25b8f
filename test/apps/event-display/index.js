// Shows each CloudEvent it is sent, as Knative's event_display prints them (Eventing 1.4). As a Service of Serving it is
// the book's own program, which greets before each.
const { createServer } = require('node:http')

const required = ['specversion', 'type', 'source', 'subject', 'id', 'time', 'dataschema']
const greeting = process.env.K_SERVICE ? 'Hello World: \n' : ''

function eventOf(headers, body) {
  if ((headers['content-type'] ?? '').startsWith('application/cloudevents+json')) {
    const { data, ...attributes } = JSON.parse(body)
    return { attributes, data: JSON.stringify(data) }
  }
  const attributes = { datacontenttype: headers['content-type'] }
  for (const [name, value] of Object.entries(headers))
    if (name.startsWith('ce-')) attributes[name.slice(3)] = decodeURIComponent(value)
  return { attributes, data: body }
}

function shown({ attributes, data }) {
  const known = [...required, 'datacontenttype']
  const line = (name) => `  ${name}: ${attributes[name]}`
  const extensions = Object.keys(attributes).filter((name) => !known.includes(name))
  const json = /json/.test(attributes.datacontenttype ?? '')
  const text = json && data ? JSON.stringify(JSON.parse(data), null, 2) : data
  return [
    '☁️  cloudevents.Event',
    'Context Attributes,',
    ...known.filter((name) => attributes[name] !== undefined).map(line),
    ...(extensions.length > 0 ? ['Extensions,', ...extensions.sort().map(line)] : []),
    'Data,',
    text.replace(/^/gm, '  '),
    '',
  ].join('\n')
}

const server = createServer((request, response) => {
  let body = ''
  request.setEncoding('utf8').on('data', (chunk) => (body += chunk))
  request.on('end', () => {
    if (request.method === 'POST')
      process.stdout.write(greeting + shown(eventOf(request.headers, body)))
    response.writeHead(202).end()
  })
})
server.listen(process.env.PORT ?? 8080)
process.on('SIGTERM', () => server.close(() => process.exit(0)))
