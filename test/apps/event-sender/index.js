// Sends an event to where its environment says, again and again until it is taken, as programs in ContainerSources do.
const { readFileSync } = require('node:fs')

const { K_SINK, K_CE_OVERRIDES, K_EVENT_PATH } = process.env
const { extensions = {} } = JSON.parse(K_CE_OVERRIDES || '{}')
// As a Job of a JobSink it passes on what it was given.
const given = K_EVENT_PATH ? JSON.parse(readFileSync(`${K_EVENT_PATH}/event`, 'utf8')) : undefined

async function send() {
  if (given) {
    console.log(`was given ${JSON.stringify(given)}`)
    return
  }
  const headers = {
    'ce-specversion': '1.0',
    'ce-type': 'sent',
    'ce-source': '/event-sender',
    'ce-id': '1',
    'content-type': 'application/json',
  }
  for (const [name, value] of Object.entries(extensions)) headers[`ce-${name}`] = value
  for (;;) {
    const answer = await fetch(K_SINK, { method: 'POST', headers, body: '{"n":1}' }).catch(
      () => undefined,
    )
    if (answer?.ok) break
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  console.log(`sent to ${K_SINK}`)
  // A source runs on.
  setInterval(() => {}, 1000)
}
process.on('SIGTERM', () => process.exit(0))
void send()
