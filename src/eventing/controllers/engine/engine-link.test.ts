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
    wanted: () => ({ brokerHosts: [], channels: [channel(`c${changes}`)] }),
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

test('an engine is started for the first thing there is, also after changes that were nothing to it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ebb-link-'))
  const clock = new SimClock()
  let channels: readonly ReturnType<typeof channel>[] = []
  let started = 0
  const link = connectEngine({
    socketPath: join(folder, 'engine.sock'),
    startEngine: () => void started++,
    wanted: () => ({ brokerHosts: [], channels }),
    clock,
    log: silent,
  })
  const pass = async (ms: number) => {
    for (let i = 0; i < ms; i += 5) {
      await clock.advance(5)
      // A connection that is refused takes real turns of the event loop.
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
    }
  }
  try {
    for (let i = 0; i < 3; i++) {
      link.changed()
      await pass(100)
    }
    assert.equal(started, 0)
    channels = [channel('c')]
    link.changed()
    for (let i = 0; i < 1000 && started === 0; i++) await pass(10)
    assert.equal(started, 1)
  } finally {
    await link[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true })
  }
})

test('an engine that says no is asked again, not joined by a second one; one that hangs does not hold up the end', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ebb-link-'))
  const socketPath = join(folder, 'engine.sock')
  let refused = 0
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      if (refused === 3) return
      const hello = { pid: 1, host: '127.0.0.1', port: 1 }
      if (request.method === 'GET') return void response.end(JSON.stringify(hello))
      refused++
      response.writeHead(500).end('no')
    })
  })
  await new Promise<void>((resolve) => server.listen(socketPath, resolve))
  const clock = new SimClock()
  const link = connectEngine({
    socketPath,
    startEngine: () => assert.fail('it is there'),
    wanted: () => ({ brokerHosts: [], channels: [channel('c')] }),
    clock,
    log: silent,
  })
  try {
    for (let i = 0; refused < 3; i++) {
      await clock.advance(10_000)
      await new Promise((resolve) => setImmediate(resolve))
      assert.ok(i < 100_000, 'it is not asked again')
    }
  } finally {
    await clock.advance(10_000)
    await link[Symbol.asyncDispose]()
    server.closeAllConnections()
    server.close()
    rmSync(folder, { recursive: true })
  }
})
