import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sleep } from '../../../lib/clock.ts'
import { SimClock, settle } from '../../../testing/sim-clock.ts'
import { createDigestResolver, type DigestRequest } from './digest-resolver.ts'

const request = (...images: string[]): DigestRequest => ({
  key: { namespace: 'default', name: 'hello-00001' },
  uid: 'u1',
  containers: images.map((image, i) => ({ name: `c${i}`, image })),
  skip: ['dev.local'],
  timeoutMs: 10_000,
})

test('images named by digest and skipped registries are known at once', () => {
  const resolver = createDigestResolver({
    clock: new SimClock(),
    resolve: () => Promise.reject(new Error('nobody asks me')),
  })
  assert.deepEqual(resolver.look(request('a@sha256:12', 'dev.local/b')), {
    kind: 'resolved',
    digests: new Map([
      ['c0', 'a@sha256:12'],
      ['c1', ''],
    ]),
  })
})

test('the first look starts the search, its end wakes the revision', async () => {
  const asked: string[] = []
  const resolver = createDigestResolver({
    clock: new SimClock(),
    resolve: (image) => {
      asked.push(image)
      return Promise.resolve(`index.docker.io/library/${image}@sha256:12`)
    },
  })
  const woken: string[] = []
  resolver.onChange(({ name }) => woken.push(name))
  assert.deepEqual(resolver.look(request('nginx')), { kind: 'pending' })
  assert.deepEqual(resolver.look(request('nginx')), { kind: 'pending' })
  await settle()
  assert.deepEqual(asked, ['nginx'])
  assert.deepEqual(woken, ['hello-00001'])
  assert.deepEqual(resolver.look(request('nginx')), {
    kind: 'resolved',
    digests: new Map([['c0', 'index.docker.io/library/nginx@sha256:12']]),
  })
})

test('failures are told with their image and tried again, each time later', async () => {
  const clock = new SimClock()
  let asked = 0
  const resolver = createDigestResolver({
    clock,
    resolve: () => Promise.reject(new Error(`no such image ${++asked}`)),
  })
  resolver.look(request('x/y'))
  await settle()
  const startMs = clock.now()
  const failed = (attempt: number, afterMs: number) => ({
    kind: 'failed',
    image: 'x/y',
    message: `no such image ${attempt}`,
    retryAtMs: startMs + afterMs,
  })
  assert.deepEqual(resolver.look(request('x/y')), failed(1, 1000))
  await clock.advance(1000)
  assert.deepEqual(resolver.look(request('x/y')), failed(1, 1000), 'until the retry has ended')
  await settle()
  assert.deepEqual(resolver.look(request('x/y')), failed(2, 3000))
})

test('a registry that never answers fails after the timeout', async () => {
  const clock = new SimClock()
  const resolver = createDigestResolver({ clock, resolve: () => new Promise(() => {}) })
  resolver.look(request('x/y'))
  await clock.advance(10_000)
  const answer = resolver.look(request('x/y'))
  assert.equal(answer.kind, 'failed')
})

test('look-ups run at ten a second after a burst of a hundred, local ones without limit', async () => {
  const clock = new SimClock()
  let asked = 0
  const answer = (delayMs: number) => () => {
    asked++
    return sleep(clock, delayMs).then(() => 'x@sha256:1')
  }
  const local = createDigestResolver({ clock, resolve: answer(0) })
  for (let i = 0; i < 500; i++)
    local.look({ ...request('x/y'), key: { namespace: 'default', name: `r${i}` } })
  await clock.advance(10)
  assert.equal(asked, 500)
  asked = 0
  const resolver = createDigestResolver({ clock, resolve: answer(30) })
  for (let i = 0; i < 150; i++)
    resolver.look({ ...request('x/y'), key: { namespace: 'default', name: `r${i}` } })
  await settle()
  assert.equal(asked, 100)
  await clock.advance(2000)
  assert.ok(asked >= 118 && asked <= 121, String(asked))
  await clock.advance(5000)
  assert.equal(asked, 150)
})

test('an image that may have come is looked for at once, whatever the back-off says', async () => {
  const clock = new SimClock()
  let there = false
  const resolver = createDigestResolver({
    clock,
    resolve: async () => (there ? 'x/y@sha256:1' : Promise.reject(new Error('no such image'))),
  })
  resolver.onChange(() => resolver.look(request('x/y')))
  resolver.look(request('x/y'))
  await settle()
  there = true
  assert.equal(resolver.look(request('x/y')).kind, 'failed')
  resolver.tryAgain()
  await settle()
  assert.equal(resolver.look(request('x/y')).kind, 'resolved')
})
