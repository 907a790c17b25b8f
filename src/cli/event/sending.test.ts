import assert from 'node:assert/strict'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../../lib/clock.ts'
import { ensureLocalAuthority } from '../../platform/access/local-authority.ts'
import type { Arguments, Output } from '../command.ts'
import { sendEvent } from './sending.ts'

const given = (ext: readonly string[]): Arguments => ({
  positionals: [],
  string: (name) => (name === 'id' ? '17' : undefined),
  boolean: () => false,
  strings: (name) => (name === 'ext' ? ext : []),
})
const notes: string[] = []
const out: Output = { print: () => {}, note: (line) => void notes.push(line) }

test('a further attribute is sent as headers say it, and is none that has a flag of its own; an answer is shown', async () => {
  let heard: IncomingHttpHeaders = {}
  const server = createServer((request, response) => {
    heard = request.headers
    response.writeHead(202).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  await sendEvent(given(['city=Zürich 1', 'constructor=x']), { url }, out)
  assert.deepEqual(notes, [`${url} answered 202`])
  await sendEvent(given([]), { url, keeps: true }, out)
  assert.equal(notes.at(-1), `${url} has it (202): it is on disk`)
  await sendEvent(given(['city=Zürich 1', 'constructor=x']), { url }, out)
  assert.equal(heard['ce-city'], 'Z%C3%BCrich%201')
  assert.equal(heard['ce-constructor'], 'x')
  assert.equal(heard['ce-id'], '17')
  const asked = createServer((_request, response) => {
    response.writeHead(200, { 'ce-type': 'quote.made' }).end('{"price":\n 17}\u001b')
  })
  await new Promise<void>((resolve) => asked.listen(0, '127.0.0.1', resolve))
  const askedUrl = `http://127.0.0.1:${(asked.address() as AddressInfo).port}/`
  await sendEvent(given([]), { url: askedUrl }, out)
  assert.deepEqual(notes.slice(-3), [
    `${askedUrl} answered 200 with an event of type quote.made:`,
    '{"price":',
    ' 17}\\x1b',
  ])
  asked.close()
  for (const each of ['id=18', 'specversion=2', 'data=x'])
    await assert.rejects(sendEvent(given([each]), { url }, out), {
      name: 'UsageError',
      message: /^--ext: expected a further attribute, found/,
    })
  server.close()
})

test('over TLS the name of the URL is asked for, wherever it leads, and the authority given is trusted', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'ebb-send-'))
  const authority = await ensureLocalAuthority(directory, systemClock)
  const { chain, privateKey, ca = '' } = await authority.sign(['broker-ingress.example.svc'])
  const server = createTlsServer({ key: privateKey, cert: chain }, (_request, response) => {
    response.writeHead(202).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const dial = { host: '127.0.0.1', port: (server.address() as AddressInfo).port }
  const url = 'https://broker-ingress.example.svc/default/default'
  await sendEvent(given([]), { url, dial, ca }, out)
  await assert.rejects(sendEvent(given([]), { url, dial }, out), /is not reached: .*certificate/)
  const other = 'https://other.example.svc/'
  await assert.rejects(sendEvent(given([]), { url: other, dial, ca }, out), /altnames/)
  server.close()
  await rm(directory, { recursive: true })
})
