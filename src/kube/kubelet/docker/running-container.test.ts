/** How a container's end is read from what an engine says of it. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { silent } from '../../../lib/log.ts'
import { SimClock } from '../../../testing/sim-clock.ts'
import type { Engine, InspectedContainer } from './engine.ts'
import { follow } from './running-container.ts'

const ended: InspectedContainer = {
  id: 'c',
  labels: {},
  running: false,
  paused: false,
  pid: 0,
  exitCode: 137,
  oomKilled: false,
  memoryLimited: true,
  error: '',
  startedAtMs: 1,
  finishedAtMs: 2,
  addresses: {},
  hostPorts: {},
  stopSignal: '',
  tty: false,
  openStdin: false,
}

async function reasonAfter(...inspections: readonly InspectedContainer[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ebb-follow-'))
  const clock = new SimClock()
  let asked = 0
  const engine = {
    wait: async () => ended.exitCode,
    inspect: async () => inspections[Math.min(asked++, inspections.length - 1)],
  } as unknown as Engine
  const none = (async function* (): AsyncGenerator<Uint8Array> {})()
  try {
    const following = follow(
      { engine, clock, log: silent },
      'c',
      join(folder, 'log'),
      new AbortController().signal,
      none,
    )
    let exit: Awaited<typeof following> | undefined
    void following.then((value) => (exit = value))
    for (let i = 0; i < 100 && !exit; i++) await clock.advance(100)
    return exit?.reason ?? 'still waits'
  } finally {
    await rm(folder, { recursive: true })
  }
}

test('memory that ran out is the reason, also when the engine hears of it after the end', async () => {
  assert.equal(await reasonAfter(ended, ended, ended, { ...ended, oomKilled: true }), 'OOMKilled')
})

test('what was killed for another reason says Error in the end', async () => {
  assert.equal(await reasonAfter(ended), 'Error')
  assert.equal(await reasonAfter({ ...ended, memoryLimited: false }), 'Error')
})
