import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SeenEvent, Selection } from '../../eventing/broker/following/selection.ts'
import type { Arguments } from '../command.ts'
import { Missing, Unreached, type Inlet } from './api.ts'
import type { Session } from './session.ts'
import { tail } from './tail.ts'

const seen = (sequence: number, id: string): SeenEvent => ({ sequence, atMs: 0, event: { id } })

/** Brokers by name with their uids, and what each look at one is answered. */
function world(brokers: Map<string, string>, answers: (asked: string) => AsyncIterable<unknown>) {
  const printed: string[] = []
  const notes: string[] = []
  const asked: string[] = []
  const args: Arguments = {
    positionals: [],
    string: (name) => (name === 'output' ? 'name' : undefined),
    boolean: () => false,
    strings: () => [],
  }
  const broker = (name: string) => ({
    metadata: {
      name,
      namespace: 'default',
      uid: brokers.get(name) ?? '',
      annotations: { 'eventing.knative.dev/broker.class': 'MTChannelBasedBroker' },
    },
  })
  const session = {
    api: {
      lines(inlet: Inlet, _: string, { fromSequence }: Selection = {}) {
        const from = fromSequence === undefined ? 'the end' : String(fromSequence)
        asked.push(`${inlet.name} from ${from}`)
        return answers(asked.at(-1) ?? '')
      },
    },
    client: {
      list: async ({ kind }: { readonly kind: string }) => ({
        items: kind === 'Broker' ? [...brokers.keys()].map(broker) : [],
      }),
      get: async (_: unknown, { name }: Inlet) => broker(name),
    },
    namespace: 'default',
    args,
    out: {
      print: (line: string) => void printed.push(line),
      note: (line: string) => void notes.push(line),
    },
    leftOut: new Set<string>(),
  }
  return { session: session as unknown as Session, printed, notes, asked }
}

test('a tail goes on where it was, and with Brokers that are deleted, made again, or new', async () => {
  const brokers = new Map([['a', 'u1']])
  const at = world(brokers, async function* (asked) {
    switch (`${at.asked.filter((each) => each === asked).length} ${asked}`) {
      case '1 a from the end':
        yield seen(5, 'a5')
        throw new Unreached('the engine ended')
      case '1 a from 6':
        yield seen(6, 'a6')
        brokers.set('a', 'u2')
        return
      case '1 a from 1':
        yield seen(1, 'again1')
        brokers.delete('a')
        throw new Missing('a is gone')
      case '2 a from 1':
        yield seen(1, 'third1')
        throw new Error('enough')
      case '1 b from 1':
        yield seen(1, 'b1')
        brokers.set('a', 'u3')
        await new Promise(() => {})
        return
      default:
        throw new Error(`nobody expects ${asked}`)
    }
  })
  const tailing = tail(at.session, [], { reconnectMs: 1, lookMs: 1 })
  const ended = assert.rejects(tailing, { message: 'enough' })
  while (!at.printed.includes('again1')) await new Promise((resolve) => setImmediate(resolve))
  brokers.set('b', 'u4')
  await ended
  assert.deepEqual(at.printed, ['a5', 'a6', 'again1', 'b1', 'third1'])
  assert.deepEqual(at.notes, [
    'a is not there any more; its events are shown when it is made again.',
    'Events of b are shown too, as it is new.',
    'Events of a are shown too, as it is new.',
  ])
})
