// Shows each CloudEvent it is sent as Knative's event_display printed them in 2019 ("CloudEvent: valid").
const { createServer } = require('node:http')

const versions = {
  0.1: ['CloudEventsVersion', 'EventType', 'EventTypeVersion', 'Source', 'EventID', 'EventTime'],
  0.2: ['SpecVersion', 'Type', 'Source', 'ID', 'Time', 'SchemaURL'],
  0.3: ['SpecVersion', 'Type', 'Source', 'Subject', 'ID', 'Time', 'SchemaURL'],
  '1.0': ['SpecVersion', 'Type', 'Source', 'Subject', 'ID', 'Time', 'DataSchema'],
}
const header = (name) => `ce-${name.toLowerCase()}`

function shown({ headers, url }, body) {
  const version = headers['ce-specversion'] ?? headers['ce-cloudeventsversion']
  const names = versions[version]
  if (!names) return `\n☁️  CloudEvent: invalid ❌\nValidation Error: version ${version}\n`
  const known = names.map(header)
  const extensions = Object.keys(headers).filter((h) => h.startsWith('ce-') && !known.includes(h))
  const isNew = version === '0.3' || version === '1.0'
  const text = body && JSON.stringify(JSON.parse(body), null, 2)
  return [
    '',
    '☁️  CloudEvent: valid ✅',
    'Context Attributes,',
    ...names
      .filter((name) => headers[header(name)] !== undefined)
      .map((n) => `  ${n}: ${headers[header(n)]}`),
    `  ${isNew ? 'DataContentType' : 'ContentType'}: ${headers['content-type']}`,
    ...(extensions.length > 0 ? ['  Extensions: '] : []),
    ...extensions.sort().map((name) => `    ${name.slice(3)}: ${headers[name]}`),
    'Transport Context,',
    `  URI: ${url}`,
    `  Host: ${headers.host}`,
    '  Method: POST',
    'Data,',
    text.replace(/^/gm, '  '),
    '',
  ].join('\n')
}

const server = createServer((request, response) => {
  let body = ''
  request.setEncoding('utf8').on('data', (chunk) => (body += chunk))
  request.on('end', () => {
    if (request.method === 'POST') process.stdout.write(shown(request, body))
    response.writeHead(202).end()
  })
})
server.listen(process.env.PORT ?? 8080)
process.on('SIGTERM', () => server.close(() => process.exit(0)))
