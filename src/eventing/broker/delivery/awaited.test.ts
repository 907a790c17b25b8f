import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { sleep, systemClock } from '../../../lib/clock.ts'
import { parseRequestHead } from '../../../lib/http1/head.ts'
import { silent } from '../../../lib/log.ts'
import { Engine } from '../engine.ts'
import { broker, event, trigger } from '../engine.fixture.ts'
import type { Sender } from './sender.ts'

test('events that somebody waits for begin at once; the others keep their order beside them', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'ebb-awaited-'))
  /** What is under way, by id. */
  const underWay = new Map<string, () => void>()
  const sender: Sender = {
    send: (_to, { headers }) =>
      new Promise((resolve) => {
        const id = new Map(headers).get('ce-id') ?? ''
        underWay.set(id, () => {
          underWay.delete(id)
          resolve({ status: 202, headers: [], body: Buffer.alloc(0) })
        })
      }),
    [Symbol.dispose]() {},
  }
  const clock = systemClock
  const engine = new Engine({ directory, clock, log: silent, sender, journal: () => {} })
  try {
    await engine.apply(broker(trigger('t', { awaited: ['mark'] })))
    const post = async (id: string, more: Record<string, string> = {}) => {
      const lines = Object.entries({
        host: 'broker-ingress.knative-eventing.svc.cluster.local',
        ...event({ 'ce-id': id, ...more }),
      }).map(([name, value]) => `${name}: ${value}\r\n`)
      const head = Buffer.from(`POST /default/b HTTP/1.1\r\n${lines.join('')}\r\n`)
      await engine.handle({
        head: parseRequestHead(head, 0, head.length, 100),
        body: Buffer.alloc(0),
      })
    }
    const until = async (isSo: () => boolean) => {
      for (let i = 0; i < 10_000 && !isSo(); i++) await sleep(clock, 1)
    }
    const is = async (...ids: string[]) => {
      await until(() => [...underWay.keys()].toSorted().join() === ids.join())
      assert.deepEqual([...underWay.keys()].toSorted(), ids)
    }
    await post('1')
    await is('1')
    await post('2')
    for (const id of ['3', '4', '5']) await post(id, { 'ce-mark': id })
    await is('1', '3', '4', '5')
    underWay.get('4')?.()
    underWay.get('1')?.()
    await is('2', '3', '5')
    for (const end of underWay.values()) end()
    await is()
    await until(() => engine.stats[0]?.backlog === 0)
    assert.equal(engine.stats[0]?.backlog, 0)
  } finally {
    await engine[Symbol.asyncDispose]()
    await rm(directory, { recursive: true, force: true })
  }
})
