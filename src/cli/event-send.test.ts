import assert from 'node:assert/strict'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import type { Arguments, Output } from './command.ts'
import { sendEvent } from './event-send.ts'

const given = (ext: readonly string[]): Arguments => ({
  positionals: [],
  string: (name) => (name === 'id' ? '17' : undefined),
  boolean: () => false,
  strings: (name) => (name === 'ext' ? ext : []),
})
const out: Output = { print: () => {}, note: () => {} }

test('a further attribute is sent as headers say it, and is none that has a flag of its own', async () => {
  let heard: IncomingHttpHeaders = {}
  const server = createServer((request, response) => {
    heard = request.headers
    response.writeHead(202).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  await sendEvent(given(['city=Zürich 1', 'constructor=x']), { url }, out)
  assert.equal(heard['ce-city'], 'Z%C3%BCrich%201')
  assert.equal(heard['ce-constructor'], 'x')
  assert.equal(heard['ce-id'], '17')
  for (const each of ['id=18', 'specversion=2', 'data=x'])
    await assert.rejects(sendEvent(given([each]), { url }, out), {
      name: 'UsageError',
      message: /^--ext: expected a further attribute, found/,
    })
  server.close()
})
