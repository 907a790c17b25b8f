import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import { Unreached, type EventApi } from './api.ts'
import { sendAgain } from './resending.ts'
import type { Session } from './session.ts'

async function sentWith(send: EventApi['send'], process: EventEmitter) {
  const told: string[] = []
  const session = {
    api: { send },
    args: { string: () => undefined, boolean: () => false },
    out: { print: (line: string) => told.push(line), note: (line: string) => told.push(line) },
  } as unknown as Session
  const code = await sendAgain(
    session,
    {
      inlet: { resource: 'brokers', namespace: 'default', name: 'default' },
      subresource: 'replay',
      body: {},
      count: 40,
      words: ['event', 'sent'],
    },
    process,
  )
  return [code, ...told, process.listenerCount('SIGINT')]
}

test('who interrupts a replay is told how far it came, and so is who loses the engine', async () => {
  const process = new EventEmitter()
  const interrupted = await sentWith(async (_inlet, _subresource, _body, { signal, progress }) => {
    progress({ delivered: 12, failed: 1 })
    process.emit('SIGINT', 'SIGINT')
    assert.equal(signal.aborted, true)
    throw new Unreached('aborted')
  }, process)
  assert.deepEqual(interrupted, [
    130,
    'Interrupted: 12 of 40 events sent, 1 not taken; a few more may have been on their way.',
    0,
  ])
  const lost = await sentWith(async (_inlet, _subresource, _body, { progress }) => {
    progress({ delivered: 3, failed: 0 })
    throw new Unreached('cut short')
  }, process)
  assert.deepEqual(lost, [
    1,
    'The event engine or the API server ended: 3 of 40 events sent; a few more may have been on their way.',
    0,
  ])
  const whole = async () => ({ selected: 40, delivered: 40, failures: [] })
  assert.deepEqual(await sentWith(whole, process), [0, '40 of 40 events sent', 0])
})
