import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silent } from '../../../lib/log.ts'
import type { Kind } from '../../../kube/api/kind.ts'
import type { KubeObject, ObjectKey } from '../../../kube/api/meta.ts'
import { SimClock } from '../../../testing/sim-clock.ts'
import { createIssuers } from './issuer.ts'
import { createTokens } from './tokens.ts'

const hour = 3_600_000

function world() {
  const sim = new SimClock()
  const clock = {
    /** How wrong the wall clock is. */
    skewMs: 0,
    now: () => sim.now() + clock.skewMs,
    monotonic: () => sim.monotonic(),
    after: (delayMs: number, fn: () => void) => sim.after(delayMs, fn),
    advance: (byMs: number) => sim.advance(byMs),
  }
  const uids = new Map([['ns/a', 'uid-1']])
  const asked: string[] = []
  let refuse = false
  const tokens = createTokens({
    clock,
    log: silent,
    read: {
      get: <T extends KubeObject>(_kind: Kind<T>, { namespace, name }: ObjectKey) => {
        const uid = uids.get(`${namespace}/${name}`)
        const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, uid } }
        return uid === undefined ? undefined : (account as unknown as T)
      },
    },
    async request({ account, audience }, seconds) {
      asked.push(audience)
      if (refuse) throw new Error('refused')
      return {
        token: `${account.name} for ${audience}, ${asked.length}`,
        expiresMs: clock.now() + seconds * 1000,
      }
    },
  })
  return { clock, uids, asked, tokens, refuse: (now: boolean) => (refuse = now) }
}

const wish = { account: { namespace: 'ns', name: 'a' }, audience: 'x' }

test('a token is asked for once, and again at half of its life', async () => {
  const { clock, asked, tokens } = world()
  let changes = 0
  tokens.onChange(() => changes++)
  assert.equal(tokens.of(wish), undefined)
  assert.equal(tokens.of(wish), undefined)
  await clock.advance(0)
  assert.equal(changes, 1)
  assert.equal(tokens.of(wish), 'a for x, 1')
  await clock.advance(hour / 2 - 1_000)
  assert.equal(tokens.of(wish), 'a for x, 1')
  assert.equal(asked.length, 1)
  await clock.advance(2_000)
  assert.equal(changes, 2, 'whoever needs it asks for it')
  assert.equal(tokens.of(wish), 'a for x, 1', 'the old one holds until the new one is there')
  await clock.advance(0)
  assert.equal(tokens.of(wish), 'a for x, 2')
})

test('without an account there is none; one that was made anew has a new one', async () => {
  const { clock, uids, asked, tokens } = world()
  await tokens.ready([wish, { ...wish, account: { namespace: 'ns', name: 'gone' } }])
  assert.deepEqual(asked, ['x'])
  assert.equal(tokens.of(wish), 'a for x, 1')
  uids.set('ns/a', 'uid-2')
  assert.equal(tokens.of(wish), undefined)
  await clock.advance(0)
  assert.equal(tokens.of(wish), 'a for x, 2')
  uids.delete('ns/a')
  assert.equal(tokens.of(wish), undefined)
})

test('what was refused is asked for again later; an expired token is never given out', async () => {
  const { clock, asked, tokens, refuse } = world()
  refuse(true)
  await tokens.ready([wish])
  assert.equal(tokens.of(wish), undefined)
  await clock.advance(1_000)
  tokens.of(wish)
  assert.equal(asked.length, 1)
  refuse(false)
  await clock.advance(5_000)
  await tokens.ready([wish])
  assert.equal(tokens.of(wish), 'a for x, 2')
  refuse(true)
  await clock.advance(hour + 1_000)
  assert.equal(tokens.of(wish), undefined)
})

test('whoever sleeps, or has its clock set, has new tokens soon', async () => {
  const { clock, asked, tokens } = world()
  tokens.onChange(() => void tokens.of(wish))
  await tokens.ready([wish])
  clock.skewMs = 2 * hour
  await clock.advance(5_000)
  assert.equal(tokens.of(wish), 'a for x, 2')
  clock.skewMs = -hour
  await clock.advance(5_000)
  assert.equal(tokens.of(wish), 'a for x, 3')
  await clock.advance(hour / 2 - 10_000)
  assert.equal(asked.length, 3, 'and else at half of their life')
  await clock.advance(20_000)
  assert.equal(asked.length, 4)
})

test('an issuer is found by its discovery document, and asked again', async () => {
  const clock = new SimClock()
  const own = { issuer: 'https://kubernetes.default.svc', keys: [] }
  let keys = [{ kid: '1' }]
  const loaded: string[] = []
  using issuers = createIssuers({
    clock,
    log: silent,
    own: () => own,
    async load(url) {
      loaded.push(url)
      if (url === 'https://id.test/.well-known/openid-configuration')
        return { issuer: 'https://elsewhere.test', jwks_uri: 'https://id.test/keys' }
      if (url === 'https://id.test/keys') return { keys }
      throw new Error('not found')
    },
  })
  let changes = 0
  issuers.onChange(() => changes++)
  assert.equal(issuers.of('https://kubernetes.default.svc'), own)
  assert.deepEqual(loaded, [])
  assert.equal(issuers.of('https://id.test'), undefined)
  await clock.advance(0)
  assert.deepEqual(issuers.of('https://id.test/'), { issuer: 'https://elsewhere.test', keys })
  keys = [{ kid: '2' }]
  await clock.advance(300_000)
  assert.equal(changes, 2)
  assert.deepEqual(issuers.of('https://id.test')?.keys, [{ kid: '2' }])
  assert.equal(issuers.of('https://down.test'), undefined)
  await clock.advance(20_000)
  assert.equal(issuers.of('https://down.test'), undefined)
})
