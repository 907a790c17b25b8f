import assert from 'node:assert/strict'
import { test } from 'node:test'
import { warningsOf, type ChannelState } from './warnings.ts'

const gibibyte = 2 ** 30
const broker = { uid: 'b', kind: 'Broker', namespace: 'default', name: 'orders' } as const
const trigger = (name: string, heldGib: number, unreadable?: string) => ({
  config: { uid: name, kind: 'Trigger', namespace: 'default', name } as const,
  heldBytes: heldGib * gibibyte,
  unreadable,
})
const told = (state: Partial<ChannelState>) =>
  warningsOf({
    config: broker,
    limitBytes: 16 * gibibyte,
    deadLetterBytes: 0,
    subscriptions: [],
    damages: [],
    ...state,
  }).map(({ name, reason, message }) => `${name} ${reason} ${message}`)

test('from half a log on, who holds it up is told, in steps', () => {
  assert.deepEqual(told({ subscriptions: [trigger('a', 7.9)] }), [])
  const [half, of] = told({ subscriptions: [trigger('a', 8), trigger('b', 1)] })
  assert.match(
    half ?? '',
    /^a EventsPileUp .* 50 % of the 16 GiB of the log of Broker default\/orders/,
  )
  assert.match(half ?? '', /503.*deadLetterSink/)
  assert.match(of ?? '', /^orders EventsPileUp events wait for Trigger a and fill 50 %/)
  // The same words until there is more to say.
  assert.deepEqual(told({ subscriptions: [trigger('a', 9.5)] })[0], half)
  const both = told({ subscriptions: [trigger('a', 9.7), trigger('b', 15.9)] })
  assert.deepEqual(
    both.map((each) => /(.*?) EventsPileUp.*?(\d+ %)/.exec(each)?.slice(1).join(' ')),
    ['b 90 %', 'a 60 %', 'orders 90 %'],
  )
  assert.match(both[2] ?? '', /Trigger b and 1 more/)
  const many = Array.from({ length: 1000 }, (_, i) => trigger(`t${i}`, 16, 'EIO'))
  assert.ok(told({ subscriptions: many }).length <= 20)
})

test('dead letters, what can not be read, and damage are told', () => {
  const [letters] = told({ deadLetterBytes: 12 * gibibyte })
  assert.match(
    letters ?? '',
    /^orders DeadLettersPileUp dead letters fill 70 %.*ebb event dead-letters/,
  )
  const [unreadable] = told({ subscriptions: [trigger('a', 0, 'EIO: i/o error, read')] })
  assert.match(
    unreadable ?? '',
    /^a EventsUnreadable .*orders can not be read: EIO: i\/o error, read\./,
  )
  const damages = [
    { file: '/d/1.log', fromByte: 512, toByte: 1024 },
    { file: '/d/cursors/x.a', fromByte: 0 },
    // Cut short by a crash.
    { file: '/d/2.log', fromByte: 99 },
  ]
  assert.deepEqual(
    told({ damages }).map((each) => /EventsDamaged (\S+)/.exec(each)?.[1]),
    ['/d/1.log', '/d/cursors/x.a'],
  )
})
