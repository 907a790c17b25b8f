/** The line to the engine: what it is told, and when, with an engine that only listens. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { silent } from '../../../lib/log.ts'
import { SimClock } from '../../../testing/sim-clock.ts'
import { connectEngine } from './engine-link.ts'

const channel = (uid: string) => ({
  uid,
  kind: 'Channel' as const,
  namespace: 'default',
  name: uid,
  subscriptions: [],
})

test('changes that do not end do not keep the engine waiting', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ebb-link-'))
  const socketPath = join(folder, 'engine.sock')
  let told = 0
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      if (request.method === 'PUT') told++
      const hello = { pid: 1, host: '127.0.0.1', port: 1 }
      response.end(JSON.stringify(request.method === 'PUT' ? {} : hello))
    })
  })
  await new Promise<void>((resolve) => server.listen(socketPath, resolve))
  const clock = new SimClock()
  let changes = 0
  const link = connectEngine({
    socketPath,
    startEngine: () => assert.fail('it is there'),
    wanted: () => ({ channels: [channel(`c${changes}`)] }),
    clock,
    log: silent,
  })
  try {
    // A change every two milliseconds; it is gathered for five.
    while (told < 5) {
      changes++
      link.changed()
      await clock.advance(2)
      await new Promise((resolve) => setImmediate(resolve))
      assert.ok(changes < 100_000, 'the engine is never told')
    }
  } finally {
    await link[Symbol.asyncDispose]()
    server.close()
    rmSync(folder, { recursive: true })
  }
})
