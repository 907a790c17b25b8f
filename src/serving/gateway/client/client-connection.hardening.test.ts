/** The last answer on a connection, to clients that take it slowly or not at all. */
import assert from 'node:assert/strict'
import { type Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { test } from 'node:test'
import { settle, SimClock } from '../../../testing/sim-clock.ts'
import { acceptConnection } from './accept.ts'
import type { ClientContext } from './client-connection.ts'
import { Deadlines } from '../exchange/deadlines.ts'

/** A client's end of a connection that takes what is written when it is told to. */
class Slow extends Duplex {
  readonly taken: string[] = []
  #take: (() => void) | undefined

  constructor() {
    super({ allowHalfOpen: true, highWaterMark: 16_384, emitClose: true })
  }

  override _read(): void {}

  override _write(bytes: Buffer, _encoding: string, done: () => void): void {
    this.#take = () => {
      this.taken.push(bytes.toString('latin1'))
      done()
    }
  }

  takeNext(): boolean {
    const take = this.#take
    this.#take = undefined
    take?.()
    return take !== undefined
  }
}

function connection(): { client: Slow; clock: SimClock; closed: () => boolean } {
  const clock = new SimClock()
  const client = new Slow()
  let closed = false
  const context: ClientContext = {
    clock,
    deadlines: new Deadlines(clock),
    headBytes: 1000,
    headerCount: 10,
    headTimeoutMs: 10_000,
    idleTimeoutMs: 60_000,
    stopping: false,
    local: true,
    route: () => ({ status: 200, body: 'x'.repeat(1000) }),
    closed: () => (closed = true),
  }
  // Only what both have is used.
  acceptConnection(client as unknown as Socket, 'h1', context)
  return { client, clock, closed: () => closed }
}

const last = (lines: string): string => `GET / HTTP/1.1\r\nHost: h\r\n${lines}\r\n`

test('a client that takes the last answer slowly gets all of it', async () => {
  const { client, clock, closed } = connection()
  client.push(last('') + last('') + last('Connection: close\r\n'))
  await settle()
  for (let i = 0; i < 3; i++) {
    await clock.advance(50_000)
    assert.ok(client.takeNext(), `answer ${i}`)
    await settle()
  }
  assert.equal(client.taken.join('').match(/HTTP\/1\.1 200/g)?.length, 3)
  // It has had everything: a client that does not close then is cut off soon.
  assert.equal(closed(), false)
  await clock.advance(5000)
  assert.equal(closed(), true)
})

test('a client that takes nothing any more is cut off after the time of an idle connection', async () => {
  const { client, clock, closed } = connection()
  client.push(last('Connection: close\r\n'))
  await settle()
  await clock.advance(59_000)
  assert.equal(closed(), false)
  await clock.advance(3000)
  assert.equal(closed(), true)
  assert.deepEqual(client.taken, [])
})
