// A step of the book's Sequences: adds its number to the message and answers in CloudEvents 0.1, as the program of 2019
// (knative-sample/probable-summer) does.
const { createServer } = require('node:http')

const step = process.env.STEP ?? '0'

function shown(headers, data) {
  const is01 = headers['ce-cloudeventsversion'] !== undefined
  const names = is01
    ? ['cloudEventsVersion', 'eventType', 'source', 'eventID', 'eventTime']
    : ['specversion', 'type', 'source', 'subject', 'id', 'time']
  const known = names.map((name) => `ce-${name.toLowerCase()}`)
  const lines = names
    .filter((name) => headers[`ce-${name.toLowerCase()}`] !== undefined)
    .map((name) => `  ${name}: ${headers[`ce-${name.toLowerCase()}`]}`)
  const extensions = Object.keys(headers).filter((h) => h.startsWith('ce-') && !known.includes(h))
  return [
    'Got Event Context: Context Attributes,',
    ...lines,
    `  ${is01 ? 'contentType' : 'datacontenttype'}: ${headers['content-type']}`,
    ...(extensions.length > 0 ? ['Extensions,'] : []),
    ...extensions.sort().map((name) => `  ${name.slice(3)}: ${headers[name]}`),
    `Got Data: &{Sequence:${data.id ?? 0} Message:${data.message ?? ''}}`,
    'Got Transport Context: Transport Context,',
    '  URI: /',
    `  Host: ${headers.host}`,
    '  Method: POST',
    '-'.repeat(28),
    '',
  ].join('\n')
}

const server = createServer((request, response) => {
  let body = ''
  request.setEncoding('utf8').on('data', (chunk) => (body += chunk))
  request.on('end', () => {
    const { headers } = request
    if (request.method !== 'POST') return response.writeHead(405).end()
    const data = JSON.parse(body)
    process.stdout.write(shown(headers, data))
    response.writeHead(200, {
      'CE-CloudEventsVersion': '0.1',
      'CE-EventType': 'samples.http.mod3',
      'CE-Source': `/transformer/${step}`,
      'CE-EventID': headers['ce-id'] ?? headers['ce-eventid'],
      'CE-EventTime': new Date().toISOString(),
      'Content-Type': 'application/json',
    })
    const message = `${data.message ?? ''} - Handled by ${step}`
    response.end(JSON.stringify({ id: data.id ?? 0, message }))
  })
})
server.listen(process.env.PORT ?? 8080)
process.on('SIGTERM', () => server.close(() => process.exit(0)))
