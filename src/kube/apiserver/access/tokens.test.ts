/** ServiceAccount tokens: asked for, believed, and what ends them. */
import assert from 'node:assert/strict'
import { createHmac, generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { SimClock } from '../../../testing/sim-clock.ts'
import { inMemoryPlatform } from '../../../testing/platform.ts'
import { Pod } from '../../api/pod.ts'
import { Secret } from '../../api/secret.ts'
import { ServiceAccount } from '../../api/service-account.ts'
import { coreKinds } from '../../api/kinds.ts'
import { fieldsOf, type Fields } from '../values.ts'
import { readJwt, signJwt } from './jwt.ts'
import { newTokenKey, openIdConfiguration, jwks, tokenKeys } from './token-keys.ts'

const account = { namespace: 'default', name: 'robot' }

async function start() {
  const clock = new SimClock()
  const platform = inMemoryPlatform({ kinds: coreKinds, clock })
  const { client, api } = platform
  const made = await client.create(ServiceAccount, {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: account,
  })
  const ask = async (spec: Fields): Promise<Fields> =>
    fieldsOf(await client.subresource('create', ServiceAccount, account, 'token', { spec }))
  const token = async (spec: Fields = { audiences: [] }): Promise<string> =>
    String(fieldsOf((await ask(spec))['status'])['token'])
  const user = async (bearerToken: string) => await api.access.authenticate({ bearerToken })
  const pod = (serviceAccountName: string) =>
    client.create<Pod>(Pod, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'p', namespace: 'default' },
      spec: { serviceAccountName, nodeName: 'here', containers: [{ name: 'c', image: 'i' }] },
    })
  return { ...platform, clock, account: made, ask, token, user, pod }
}

const claimsOf = (token: string): Fields => readJwt(token)?.claims ?? {}

test('a TokenRequest is answered with a token that stands for its account', async () => {
  await using world = await start()
  const answer = await world.ask({ audiences: [] })
  assert.deepEqual(answer['spec'], {
    audiences: ['https://kubernetes.default.svc'],
    expirationSeconds: 3600,
    boundObjectRef: null,
  })
  const { token, expirationTimestamp } = fieldsOf(answer['status'])
  assert.equal(expirationTimestamp, '2026-01-01T01:00:00Z')
  const { jti, ...claims } = claimsOf(String(token))
  const { uid } = world.account.metadata
  assert.deepEqual(claims, {
    aud: ['https://kubernetes.default.svc'],
    exp: 1767229200,
    iat: 1767225600,
    nbf: 1767225600,
    iss: 'https://kubernetes.default.svc',
    'kubernetes.io': { namespace: 'default', serviceaccount: { name: 'robot', uid } },
    sub: 'system:serviceaccount:default:robot',
  })
  assert.deepEqual(await world.user(String(token)), {
    username: 'system:serviceaccount:default:robot',
    uid,
    groups: ['system:serviceaccounts', 'system:serviceaccounts:default', 'system:authenticated'],
    extra: { 'authentication.kubernetes.io/credential-id': [`JTI=${String(jti)}`] },
  })
})

test('a token ends at its hour, and with its account', async () => {
  await using world = await start()
  const short = await world.token({ audiences: [], expirationSeconds: 600 })
  const long = await world.token({ audiences: [], expirationSeconds: 7200 })
  await world.clock.advance(599_000)
  assert.ok(await world.user(short))
  await world.clock.advance(1_000)
  assert.equal(await world.user(short), undefined)
  assert.ok(await world.user(long))
  await world.client.delete(ServiceAccount, account)
  assert.equal(await world.user(long), undefined)
  await world.client.create(ServiceAccount, { ...world.account, metadata: account })
  assert.equal(await world.user(long), undefined, 'another account of the same name')
})

test('a token for somebody else is not taken here', async () => {
  await using world = await start()
  const vault = await world.token({ audiences: ['vault'] })
  assert.equal(await world.user(vault), undefined)
  assert.deepEqual(world.api.access.tokens.holder(vault, ['x', 'vault'])?.audiences, ['vault'])
})

test('a token bound to a pod says so, lives a year when mounted, and dies with the pod', async () => {
  await using world = await start()
  const pod = await world.pod('robot')
  const { uid } = pod.metadata
  const token = await world.token({
    audiences: [],
    expirationSeconds: 3607,
    boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: 'p', uid },
  })
  const { exp, iat, 'kubernetes.io': own } = claimsOf(token)
  assert.deepEqual(
    [Number(exp) - Number(iat), fieldsOf(own)['warnafter']],
    [31_536_000, Number(iat) + 3607],
  )
  assert.deepEqual((await world.user(token))?.extra?.['authentication.kubernetes.io/pod-uid'], [
    uid,
  ])
  assert.deepEqual((await world.user(token))?.extra?.['authentication.kubernetes.io/node-name'], [
    'here',
  ])
  await world.client.delete(Pod, { namespace: 'default', name: 'p' }, { gracePeriodSeconds: 0 })
  await world.clock.advance(91_000)
  assert.equal(await world.user(token), undefined)
})

test('what a TokenRequest may not ask is refused in Kubernetes’ words', async () => {
  await using world = await start()
  await world.pod('default')
  const refused = (spec: Fields, message: RegExp) => assert.rejects(world.ask(spec), { message })
  await refused(
    { audiences: [], expirationSeconds: 60 },
    /^TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 60: may not specify a duration less than 10 minutes$/,
  )
  await refused({ audiences: [], expirationSeconds: 2 ** 33 }, /larger than 2\^32 seconds/)
  await refused({ audiences: [], expirationSeconds: 'x' }, /expirationSeconds/)
  await refused({ audiences: 'x' }, /audiences/)
  const bound = (ref: Fields) => ({ audiences: [], boundObjectRef: ref })
  await refused(
    bound({ apiVersion: 'v1', kind: 'Pod', name: 'p' }),
    /different serviceaccount name/,
  )
  await refused(bound({ apiVersion: 'v1', kind: 'Pod', name: 'none' }), /pods "none" not found/)
  await refused(bound({ apiVersion: 'v1', kind: 'ConfigMap', name: 'p' }), /cannot bind token/)
})

test('a Secret of the old kind holds a token that dies with it', async () => {
  await using world = await start()
  const token = world.api.access.tokens.issueForSecret(world.account, { name: 's' })
  assert.equal(await world.user(token), undefined)
  await world.client.create(Secret, {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 's', namespace: 'default' },
    data: { token: Buffer.from(token).toString('base64') },
  })
  assert.equal((await world.user(token))?.username, 'system:serviceaccount:default:robot')
  await world.client.delete(Secret, { namespace: 'default', name: 's' })
  assert.equal(await world.user(token), undefined)
})

test('forged tokens are worth nothing', async () => {
  await using world = await start()
  const good = await world.token()
  const [head = '', payload = '', signature = ''] = good.split('.')
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const { keys } = world.api.access.tokens
  const [published] = keys.verification
  assert.ok(published)
  const pem = published.key.export({ type: 'spki', format: 'pem' }).toString()
  const hmacHead = part({ alg: 'HS256', kid: published.id })
  const hmac = createHmac('sha256', pem).update(`${hmacHead}.${payload}`).digest('base64url')
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  const forged = {
    'no algorithm': `${part({ alg: 'none', kid: published.id })}.${payload}.`,
    'no algorithm, signed': `${part({ alg: 'none', kid: published.id })}.${payload}.${signature}`,
    'the public key as a password': `${hmacHead}.${payload}.${hmac}`,
    'another algorithm': `${part({ alg: 'RS256', kid: published.id })}.${payload}.${signature}`,
    'another key of that name': signJwt(other, published.id, claimsOf(good)),
    'other claims': `${head}.${part({ ...claimsOf(good), sub: 'system:serviceaccount:kube-system:x' })}.${signature}`,
    'another account': signJwt(keys.signing, published.id, {
      ...claimsOf(good),
      sub: 'system:serviceaccount:kube-system:default',
    }),
    'no end': signJwt(keys.signing, published.id, { ...claimsOf(good), exp: undefined }),
    'not yet': signJwt(keys.signing, published.id, { ...claimsOf(good), nbf: 9e12 }),
    'a path for a name': signJwt(keys.signing, published.id, {
      ...claimsOf(good),
      sub: 'system:serviceaccount:a/b:robot',
      'kubernetes.io': { namespace: 'a/b', serviceaccount: { name: 'robot' } },
    }),
    huge: `${head}.${'A'.repeat(1_000_000)}.${signature}`,
    dots: '.'.repeat(1000),
    'bad JSON': `${head}.e30x.${signature}`,
    empty: '',
  }
  for (const [what, token] of Object.entries(forged))
    assert.equal(await world.user(token), undefined, what)
  assert.ok(await world.user(good))
})

test('keys of RSA and of P-256 sign; a key that was replaced still checks', () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  const pem = rsa.export({ type: 'pkcs8', format: 'pem' }).toString()
  const keys = tokenKeys([pem, newTokenKey()])
  assert.deepEqual(
    keys.verification.map(({ algorithm }) => algorithm),
    ['RS256', 'ES256'],
  )
  const [first] = fieldsOf(jwks(keys))['keys'] as Fields[]
  assert.deepEqual(
    [first?.['kty'], first?.['alg'], first?.['kid']],
    ['RSA', 'RS256', keys.signingId],
  )
  assert.deepEqual(openIdConfiguration(keys, 'https://i', 'https://i/jwks'), {
    issuer: 'https://i',
    jwks_uri: 'https://i/jwks',
    response_types_supported: ['id_token'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['ES256', 'RS256'],
  })
  const weak = generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey
  const weakPem = weak.export({ type: 'pkcs8', format: 'pem' }).toString()
  assert.throws(() => tokenKeys([weakPem]), /RSA with 2048 bits or more, or of P-256/)
})
