// Stand-in for knative-sample/helloworld-go: greets TARGET, logs as the original does (book 02, app.md).
import { createServer } from 'node:http'

const target = process.env.TARGET || 'World'
const log = (level, message) => {
  const time = new Date(Date.now() + 8 * 3_600_000).toISOString().replace('T', ' ').slice(0, 19)
  console.log(`${time} ${level} ${message}`)
}

log('INFO', 'Hello world sample started.')
createServer((_request, response) => {
  log('INFO', 'Hello world received a request.')
  response.setHeader('content-type', 'text/plain')
  response.end(`Hello ${target}!\n`)
  const second = Math.floor(Date.now() / 1000)
  if (second % 10 < 4) log('ERROR', 'http handler error')
  else log('INFO', 'http handler success')
}).listen(Number(process.env.PORT || 8080))
