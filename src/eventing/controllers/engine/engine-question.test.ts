import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempDisposable } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { SimClock } from '../../../testing/sim-clock.ts'
import { nowAndThen } from '../now-and-then.ts'
import { askEngine } from './engine-question.ts'

test('an engine that does not answer does not hold up the end', { timeout: 20_000 }, async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'ebb-'))
  const socket = join(folder.path, 's')
  const asked = Promise.withResolvers<void>()
  await using server = createServer(() => asked.resolve())
  await once(server.listen(socket), 'listening')
  const clock = new SimClock()
  const failures: unknown[] = []
  const looks = nowAndThen(
    clock,
    1_000,
    (signal) => askEngine(socket, '/warnings', signal),
    (error) => failures.push(error),
  )
  await clock.advance(1_000)
  await asked.promise
  await looks[Symbol.asyncDispose]()
  assert.deepEqual(failures, [])
  server.closeAllConnections()
})
