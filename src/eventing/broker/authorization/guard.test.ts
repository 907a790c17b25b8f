import assert from 'node:assert/strict'
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { describe, test } from 'node:test'
import { SignJWT } from 'jose'
import { SimClock } from '../../../testing/sim-clock.ts'
import type { CloudEvent } from '../../cloudevents/cloud-event.ts'
import type { Gate, TokenIssuer } from '../feed.ts'
import { decisionOf } from './decision.ts'
import { createGuards } from './guard.ts'
import { SendingTokens } from './sending-tokens.ts'

const audience = 'eventing.knative.dev/broker/ns/b'
const event = (type: string): CloudEvent => ({
  attributes: { specversion: '1.0', id: '1', source: '/s', type },
})
const gate = (more: Partial<Gate> = {}): Gate => ({
  audience,
  namespace: 'ns',
  mode: 'allow-same-namespace',
  policies: [],
  ...more,
})
const account = (name: string, namespace = 'ns') => `system:serviceaccount:${namespace}:${name}`

describe('who may send', () => {
  const may = (gate_: Gate, subject: string, ...events: readonly CloudEvent[]) =>
    decisionOf(gate_)(subject, events.length > 0 ? events : [event('t')]) === undefined

  test('without policies the default mode decides', () => {
    for (const [mode, own, other] of [
      ['allow-all', true, true],
      ['allow-same-namespace', true, false],
      ['deny-all', false, false],
    ] as const) {
      assert.equal(may(gate({ mode }), account('a')), own, mode)
      assert.equal(may(gate({ mode }), account('a', 'other')), other, mode)
      assert.equal(may(gate({ mode }), account('a', 'ns2')), other, mode)
    }
  })

  test('subjects: equal in any case, or by what is before the star, as it is written', () => {
    const one = (sub: string) => gate({ policies: [{ name: 'p', subjects: [sub] }] })
    assert.ok(may(one(account('A')), account('a')))
    assert.ok(!may(one(account('a')), account('ab')))
    assert.ok(may(one(account('a*')), account('ab')))
    assert.ok(!may(one(account('A*')), account('ab')))
    assert.ok(may(one('*'), 'whoever'))
    assert.ok(!may(gate({ policies: [{ name: 'p', subjects: [] }] }), account('a')))
  })

  test('the first policy with the subject decides, whatever later ones say', () => {
    const policies = [
      { name: 'a', subjects: [account('other')] },
      { name: 'b', subjects: [account('a')], filters: [{ exact: { type: 'good' } }] },
      { name: 'c', subjects: ['*'] },
    ]
    assert.ok(may(gate({ policies }), account('a'), event('good')))
    assert.ok(!may(gate({ policies }), account('a'), event('bad')))
    assert.ok(!may(gate({ policies }), account('a'), event('good'), event('bad')))
    assert.ok(may(gate({ policies }), account('b'), event('bad')))
    const reason = decisionOf(gate({ policies }))(account('a'), [event('bad')])
    assert.equal(reason, 'EventPolicy b: filters[0].exact.type: expected good, found "bad"')
  })

  test('what is no event passes no filter', () => {
    const policy = { name: 'p', subjects: ['*'] }
    const filtered = { ...policy, filters: [{ exact: { type: 'good' } }] }
    assert.notEqual(decisionOf(gate({ policies: [filtered] }))('x', []), undefined)
    assert.equal(decisionOf(gate({ policies: [policy] }))('x', []), undefined)
  })

  test('filters that can not be read let nothing through', () => {
    const policies = [{ name: 'p', subjects: ['*'], filters: [{ cesql: 'no ( sense' }] }]
    assert.ok(!may(gate({ policies }), account('a')))
  })
})

describe('tokens', () => {
  const issuer = 'https://issuer.test'
  const pair = () => generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const trusted = (key: KeyObject, kid = 'k1'): TokenIssuer => ({
    issuer,
    keys: [{ ...key.export({ format: 'jwk' }), kid, alg: 'ES256' }],
  })
  const signed = (
    key: KeyObject,
    nowMs: number,
    {
      kid = 'k1',
      iss = issuer,
      aud = audience,
      lifeS = 3600,
    }: { kid?: string; iss?: string; aud?: string | string[]; lifeS?: number } = {},
  ) =>
    new SignJWT({})
      .setProtectedHeader({ alg: 'ES256', kid })
      .setSubject(account('a'))
      .setIssuer(iss)
      .setAudience(aud)
      .setExpirationTime(Math.floor(nowMs / 1000) + lifeS)
      .sign(key)

  test('are believed that the issuer has signed, for this audience, and not for ever', async () => {
    const clock = new SimClock()
    const { privateKey, publicKey } = pair()
    const guards = createGuards(clock)
    const guard = guards.guard(gate())
    const ask = async (authorization?: string) => {
      const headers = authorization === undefined ? [] : [['authorization', authorization] as const]
      return (await guard?.(headers, [event('t')]))?.status
    }
    const now = clock.now()
    const token = await signed(privateKey, now)
    assert.equal(await ask(`Bearer ${token}`), 401, 'nobody is trusted yet')
    guards.trust(trusted(publicKey))
    assert.equal(await ask(), 401)
    assert.equal(await ask('Basic eA=='), 401)
    assert.equal(await ask('Bearer nonsense'), 401)
    assert.equal(await ask(`Bearer ${'x'.repeat(100_000)}`), 401)
    assert.equal(await ask(`Bearer ${token}`), undefined)
    assert.equal(await ask(`bearer ${token}`), undefined)
    assert.equal(
      await ask(`Bearer ${await signed(privateKey, now, { aud: ['x', audience] })}`),
      undefined,
    )
    assert.equal(await ask(`Bearer ${await signed(privateKey, now, { aud: 'x' })}`), 401)
    assert.equal(await ask(`Bearer ${await signed(privateKey, now, { iss: 'x' })}`), 401)
    assert.equal(await ask(`Bearer ${await signed(pair().privateKey, now)}`), 401)
    assert.equal(await ask(`Bearer ${await signed(privateKey, now, { lifeS: -60 })}`), 401)
    const none = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${token.split('.')[1]}.`
    assert.equal(await ask(`Bearer ${none}`), 401)
    await clock.advance(3_700_000)
    assert.equal(await ask(`Bearer ${token}`), 401, 'it was known, and has expired')
  })

  test('of a key that was taken back are believed no more', async () => {
    const clock = new SimClock()
    const first = pair()
    const second = pair()
    const guards = createGuards(clock)
    const guard = guards.guard(gate())
    const ask = async (token: string) =>
      (await guard?.([['authorization', `Bearer ${token}`]], [event('t')]))?.status
    guards.trust(trusted(first.publicKey))
    const old = await signed(first.privateKey, clock.now())
    assert.equal(await ask(old), undefined)
    guards.trust(trusted(second.publicKey, 'k2'))
    assert.equal(await ask(old), 401)
    assert.equal(await ask(await signed(second.privateKey, clock.now(), { kid: 'k2' })), undefined)
    guards.trust(undefined)
    assert.equal(await ask(old), 401)
  })

  test('who is known but may not send gets 403', async () => {
    const clock = new SimClock()
    const { privateKey, publicKey } = pair()
    const guards = createGuards(clock)
    guards.trust(trusted(publicKey))
    const guard = guards.guard(gate({ mode: 'deny-all' }))
    const token = await signed(privateKey, clock.now())
    const answer = await guard?.([['authorization', `Bearer ${token}`]], [event('t')])
    assert.equal(answer?.status, 403)
    assert.equal(guards.guard(undefined), undefined)
  })
})

test('a token goes to the destinations it is for, and to none without an account', () => {
  const tokens = new SendingTokens()
  const to = { url: 'http://x', account: 'ns/a', audience: 'x' }
  assert.match(Object(tokens.for(to)).problem, /no token of ServiceAccount ns\/a for x yet/)
  tokens.replace([{ account: 'ns/a', audience: 'x', token: 'T' }])
  assert.deepEqual(tokens.for(to), { header: 'Bearer T' })
  assert.equal(tokens.for({ url: 'http://x', audience: 'x' }), undefined)
  assert.equal(tokens.for({ url: 'http://x' }), undefined)
  tokens.replace([])
  assert.ok('problem' in Object(tokens.for(to)))
})
