/** Tokens of an identity provider: believed by its keys, which are fetched rarely and again when they change. */
import assert from 'node:assert/strict'
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { test } from 'node:test'
import { silent } from '../../../lib/log.ts'
import { SimClock } from '../../../testing/sim-clock.ts'
import type { Fields } from '../values.ts'
import { authenticator } from './authentication.ts'
import { signJwt, verificationKey } from './jwt.ts'
import { oidcAuthenticator, type OidcOptions } from './oidc.ts'

const issuerUrl = 'https://id.example.com/realm'

function start(options: Partial<OidcOptions> = {}) {
  const clock = new SimClock()
  const newKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  const fetches: string[] = []
  let published: readonly KeyObject[] = [newKey()]
  let broken = false
  const provider = oidcAuthenticator(
    { issuerUrl, clientId: 'ebb', signingAlgorithms: ['RS256', 'ES256'], ...options },
    {
      clock,
      log: silent,
      fetchJson: async (url) => {
        fetches.push(url)
        if (broken) throw new Error('the provider is down')
        if (url.endsWith('/.well-known/openid-configuration'))
          return { issuer: issuerUrl, jwks_uri: 'https://id.example.com/keys' }
        return {
          keys: published.map((key) => {
            const { id, algorithm, key: half } = verificationKey(key)
            return { ...half.export({ format: 'jwk' }), kid: id, alg: algorithm, use: 'sig' }
          }),
        }
      },
    },
  )
  const authenticate = authenticator({ provider })
  const token = (claims: Fields = {}, key = published[0]): string => {
    assert.ok(key)
    const exp = Math.floor(clock.now() / 1000) + 600
    const all = { iss: issuerUrl, aud: 'ebb', sub: 'u1', exp, ...claims }
    return signJwt(key, verificationKey(key).id, all)
  }
  return {
    clock,
    fetches,
    token,
    user: async (bearerToken: string) => await authenticate({ bearerToken }),
    newKey,
    publish: (...keys: readonly KeyObject[]) => void (published = keys),
    breakProvider: (is: boolean) => void (broken = is),
  }
}

test('user and groups are what the claims say, with their prefixes', async () => {
  const plain = start()
  assert.deepEqual(await plain.user(plain.token()), {
    username: `${issuerUrl}#u1`,
    groups: ['system:authenticated'],
  })
  const world = start({
    usernameClaim: 'email',
    groupsClaim: 'roles',
    groupsPrefix: 'oidc:',
    requiredClaims: { tenant: 'acme' },
  })
  const claims = { email: 'ann@x.dev', roles: ['dev', 7, 'ops'], tenant: 'acme' }
  assert.deepEqual(await world.user(world.token(claims)), {
    username: 'ann@x.dev',
    groups: ['oidc:dev', 'oidc:ops', 'system:authenticated'],
  })
  const refused = [
    { ...claims, tenant: 'other' },
    { ...claims, email_verified: false },
    { ...claims, email: '' },
    { ...claims, email: 'system:admin' },
    { ...claims, aud: 'somebody' },
    { ...claims, exp: 1 },
    { ...claims, exp: undefined },
    { ...claims, nbf: 9e9 },
    { ...claims, roles: Array.from({ length: 3000 }, (_, i) => `g${i}`) },
  ]
  for (const each of refused)
    assert.equal(await world.user(world.token(each)), undefined, JSON.stringify(each).slice(0, 80))
})

test('nobody outside says that he belongs to the platform', async () => {
  const world = start({ groupsClaim: 'groups', usernamePrefix: '-' })
  const token = world.token({ groups: ['system:masters', 'dev'] })
  assert.deepEqual((await world.user(token))?.groups, ['dev', 'system:authenticated'])
})

test('keys are fetched once, again for a new one, and never in a hurry', async () => {
  const world = start()
  for (let i = 0; i < 5; i++) assert.ok(await world.user(world.token()))
  assert.equal(world.fetches.length, 2)
  const next = world.newKey()
  world.publish(next)
  for (let i = 0; i < 5; i++) assert.equal(await world.user(world.token({}, next)), undefined)
  assert.equal(world.fetches.length, 2, 'within ten seconds nothing is asked again')
  await world.clock.advance(10_000)
  assert.ok(await world.user(world.token({}, next)))
  assert.equal(world.fetches.length, 4)
  // What is known goes on when the provider does not.
  world.breakProvider(true)
  await world.clock.advance(3_600_000)
  assert.ok(await world.user(world.token({}, next)))
})

test('signatures of others, and none', async () => {
  const world = start()
  const [, payload = ''] = world.token().split('.')
  const head = Buffer.from(JSON.stringify({ alg: 'none' })).toString('base64url')
  assert.equal(await world.user(`${head}.${payload}.x`), undefined)
  assert.equal(await world.user(world.token({}, world.newKey())), undefined)
})

test('options that nobody can use are refused at the start', () => {
  const refused = (options: Partial<OidcOptions>, message: RegExp) =>
    assert.throws(() => start(options), message)
  refused({ issuerUrl: 'http://x' }, /--oidc-issuer-url: expected an https:\/\/ URL/)
  refused({ clientId: '' }, /--oidc-client-id/)
  refused({ signingAlgorithms: ['HS256'] }, /--oidc-signing-algs: .* found "HS256"/)
})
