import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { silent } from '../../lib/log.ts'
import { startControl } from './control.ts'
import type { FromGateway, ToGateway } from './feed.ts'
import { Fixture, get, revisionDefaults, startApp } from './gateway.fixture.ts'
import { readLines } from './lines.ts'

async function world() {
  const folder = mkdtempSync(join(tmpdir(), 'ebb-control-'))
  const socketPath = join(folder, 'c.sock')
  const fixture = await Fixture.start()
  const control = await startControl({ gateway: fixture.gateway, socketPath, log: silent, pid: 1 })
  return {
    fixture,
    control,
    plane: () => Plane.open(socketPath),
    async [Symbol.asyncDispose]() {
      await control[Symbol.asyncDispose]()
      await fixture[Symbol.asyncDispose]()
      rmSync(folder, { recursive: true })
    },
  }
}

/** A control plane by hand. */
class Plane {
  readonly socket: Socket
  readonly closed: Promise<void>
  readonly #messages: FromGateway[] = []
  #more: () => void = () => {}

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('error', () => {})
    this.closed = new Promise((resolve) => socket.on('close', () => resolve()))
    readLines(
      socket,
      (line) => {
        this.#messages.push(JSON.parse(line) as FromGateway)
        this.#more()
      },
      (error) => assert.fail(String(error)),
    )
  }

  static open(path: string): Promise<Plane> {
    return new Promise((resolve) => {
      const socket = connect({ path }, () => resolve(new Plane(socket)))
    })
  }

  send(...messages: ToGateway[]): void {
    for (const message of messages) this.socket.write(`${JSON.stringify(message)}\n`)
  }

  async next(): Promise<FromGateway> {
    for (;;) {
      const message = this.#messages.shift()
      if (message) return message
      await new Promise<void>((resolve) => (this.#more = resolve))
    }
  }
}

test('a control plane is greeted, heard and acknowledged; without it traffic goes on', async () => {
  await using app = await startApp(({ answer }) => answer('hello'))
  await using w = await world()
  const first = await w.plane()
  const hello = await first.next()
  assert.equal(hello.type === 'hello' && hello.http.port, w.fixture.gateway.http.port)
  const revision = { ...revisionDefaults, backends: [app.backend] }
  first.send({ type: 'revision', revision }, { type: 'sync', version: 5 })
  assert.deepEqual(await first.next(), { type: 'ack', version: 5 })
  first.socket.destroy()
  await first.closed
  assert.equal((await w.fixture.request(get())).status, 200)

  // Half a snapshot of a control plane that died in the middle of it does no harm.
  const second = await w.plane()
  await second.next()
  second.send({ type: 'reset' })
  second.socket.end()
  await second.closed
  assert.equal((await w.fixture.request(get())).status, 200)

  const third = await w.plane()
  await third.next()
  third.send({ type: 'reset' }, { type: 'sync', version: 1 })
  assert.deepEqual(await third.next(), { type: 'ack', version: 1 })
  assert.equal((await w.fixture.request(get())).status, 404)
  third.socket.destroy()
})

test('a new control plane replaces the old, and hears at once who waits', async () => {
  await using w = await world()
  const first = await w.plane()
  await first.next()
  const held = w.fixture.request(get())
  assert.deepEqual(await first.next(), { type: 'wake', revision: 'ns/rev' })
  const second = await w.plane()
  await first.closed
  assert.equal((await second.next()).type, 'hello')
  assert.deepEqual(await second.next(), { type: 'wake', revision: 'ns/rev' })
  assert.equal(w.control.connected, true)
  second.send({ type: 'revision-gone', key: 'ns/rev' }, { type: 'sync', version: 1 })
  assert.equal((await held).status, 404)
  second.socket.destroy()
})

test('nonsense on the control socket ends that connection only', async () => {
  await using w = await world()
  for (const text of ['{"type":\n', `${'x'.repeat(17_000_000)}`]) {
    const plane = await w.plane()
    await plane.next()
    plane.socket.write(text)
    await plane.closed
  }
  const plane = await w.plane()
  assert.equal((await plane.next()).type, 'hello')
  plane.socket.destroy()
})
