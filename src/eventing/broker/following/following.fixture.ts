/** A Broker with two Triggers and what is noted of them, in simulated time: for tests of following. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silent } from '../../../lib/log.ts'
import { SimClock } from '../../../testing/sim-clock.ts'
import { Channel } from '../channel.ts'
import type { ChannelConfig } from '../feed.ts'
import { select, type Selection } from './selection.ts'
import type { Step } from './journal.ts'
import type { AgainDeps } from './replay.ts'
import type { Answer, Sender } from '../delivery/sender.ts'

export interface World extends AsyncDisposable {
  readonly clock: SimClock
  readonly channel: Channel
  readonly steps: Step[]
  readonly sent: { readonly url: string; readonly id: string }[]
  readonly sender: Sender
  status: number
  put(id: string, type?: string): Promise<void>
  settle(): Promise<void>
}

export const trigger = (name: string, type?: string) => ({
  uid: name,
  kind: 'Trigger' as const,
  namespace: 'default',
  name,
  subscriber: { url: `http://${name}` },
  delivery: { retry: 0 },
  ...(type !== undefined && { filter: { filter: { attributes: { type } } } }),
})
export const config: ChannelConfig = {
  uid: 'b',
  kind: 'Broker',
  namespace: 'default',
  name: 'b',
  subscriptions: [trigger('all'), trigger('some', 'other')],
}

export async function world(): Promise<World> {
  const directory = await mkdtemp(join(tmpdir(), 'ebb-following-'))
  const clock = new SimClock()
  const steps: Step[] = []
  const sent: { url: string; id: string }[] = []
  const sender: Sender = {
    async send(to, { headers }): Promise<Answer> {
      sent.push({ url: to.url, id: headers.find(([name]) => name === 'ce-id')?.[1] ?? '' })
      return { status: made.status, headers: [], body: Buffer.alloc(0) }
    },
    [Symbol.dispose]() {},
  }
  const journal = (step: Step) => void steps.push(step)
  const channel = await Channel.open(config, { directory, clock, log: silent, sender, journal })
  await channel.update(config)
  const made: World = {
    clock,
    channel,
    steps,
    sent,
    sender,
    status: 200,
    async put(id, type = 'test') {
      const attributes = { specversion: '1.0', id, source: '/s', type }
      await channel.append({ event: { attributes }, passed: [] })
    },
    async settle() {
      while (channel.stats.some(({ backlog }) => backlog > 0)) {
        await clock.advance(10)
        await new Promise((resolve) => setImmediate(resolve))
      }
    },
    async [Symbol.asyncDispose]() {
      await channel[Symbol.asyncDispose]()
      await rm(directory, { recursive: true })
    },
  }
  return made
}

export async function ids(channel: Channel, selection: Selection): Promise<readonly unknown[]> {
  const found: unknown[] = []
  for await (const { stored } of select(channel, selection))
    found.push(stored.event.attributes['id'])
  return found
}

export const options = (at: World, dryRun = false): AgainDeps => ({
  sender: at.sender,
  clock: at.clock,
  journal: (step: Step) => void at.steps.push(step),
  dryRun,
  signal: new AbortController().signal,
})
