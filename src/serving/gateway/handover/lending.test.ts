/** Two gateways on one pod with one slot, one taking over from the other; and a successor that fails. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../../lib/clock.ts'
import { silent } from '../../../lib/log.ts'
import { type AppRequest, Fixture, get, signal, startApp } from '../gateway.fixture.ts'
import { handOver } from './handover.ts'

test('a pod with one slot has one request at a time over both, and everybody has a turn', async () => {
  const held: AppRequest[] = []
  let most = 0
  let now = 0
  let came = signal()
  await using app = await startApp((request) => {
    most = Math.max(most, ++now)
    held.push(request)
    came.resolve()
  })
  const finish = async (): Promise<void> => {
    while (held.length === 0) {
      await came.promise
      came = signal()
    }
    now--
    held.shift()!.answer('ok')
  }
  const revision = { containerConcurrency: 1, backends: [app.backend] }
  await using old = await Fixture.start({ revision })
  await using next = await Fixture.start({ revision, uninformed: true })
  const [running, waiting, late] = await Promise.all([old.client(), old.client(), old.client()])
  running.send(get())
  await came.promise
  waiting.send(get())
  // It waits at the old gateway by the time that another request of its connection was answered there.
  await old.request(get('/', 'K-Network-Probe: probe\r\nK-Network-Hash: override\r\n'))

  await old.gateway.borrow((loan) => next.gateway.lend(loan, (lent) => old.gateway.lent(lent)))
  next.inform(revision)
  const others = await Promise.all([next.client(), next.client()])
  for (const client of others) client.send(get())
  late.send(get())
  const answers = Promise.all(
    [running, waiting, late, ...others].map((client) => client.response()),
  )
  for (let i = 0; i < 5; i++) await finish()
  assert.ok((await answers).every(({ status }) => status === 200))
  assert.equal(most, 1)

  // What is lent when the old one goes comes back.
  late.send(get())
  await came.promise
  next.gateway.lend(undefined, () => {})
  const after = next.request(get())
  while (held.length < 2) {
    came = signal()
    await came.promise
  }
  for (const { answer } of held) answer('ok')
  assert.equal((await after).status, 200)
  for (const client of [running, waiting, late, ...others]) client.socket.destroy()
})

test('a request on an old connection is served when it is the first to borrow', async () => {
  await using app = await startApp(({ answer }) => answer('ok'))
  const revision = { containerConcurrency: 1, backends: [app.backend] }
  await using old = await Fixture.start({ revision })
  // Nothing was lent before it knew what there is.
  await using next = await Fixture.start({ revision })
  await old.gateway.borrow((loan) => next.gateway.lend(loan, (lent) => old.gateway.lent(lent)))
  assert.equal((await old.request(get())).status, 200)
})

test('a successor that fails leaves the gateway as it was', async () => {
  await using app = await startApp(({ answer }) => answer('ok'))
  await using fixture = await Fixture.start({ revision: { backends: [app.backend] } })
  const heard: string[] = []
  fixture.gateway.listen(({ type }) => heard.push(type))
  let released = false
  const serves = await handOver({
    args: ['-e', 'process.exit(3)'],
    workers: 1,
    sockets: new Map(),
    gateway: fixture.gateway,
    releaseControl: () => {
      released = true
      return Promise.resolve()
    },
    onStop: () => assert.fail('nobody said stop'),
    clock: systemClock,
    log: silent,
  })
  assert.deepEqual([serves, released], [false, false])
  assert.equal((await fixture.request(get())).status, 200)
  fixture.gateway.receive({ type: 'drain', id: 1, host: app.backend.host, port: app.backend.port })
  assert.ok(heard.includes('drained'), 'the control plane hears it as before')
})
