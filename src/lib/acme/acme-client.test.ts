import assert from 'node:assert/strict'
import { createPublicKey, verify } from 'node:crypto'
import { test } from 'node:test'
import { SimClock } from '../../testing/sim-clock.ts'
import { createAccountKey, readAccountKey } from './account-key.ts'
import { AcmeClient, type Http01 } from './acme-client.ts'
import { AcmeProblem } from './problem.ts'
import type { AcmeRequest, AcmeResponse, Transport } from './transport.ts'

interface Protected {
  readonly alg: string
  readonly nonce: string
  readonly url: string
  readonly kid?: string
  readonly jwk?: {
    readonly kty: string
    readonly crv: string
    readonly x: string
    readonly y: string
  }
}

type Answer = { status?: number; body?: unknown; headers?: Record<string, string> }

const base = 'https://acme.test'
const decode = (text: string): unknown =>
  JSON.parse(Buffer.from(text, 'base64url').toString() || 'null')

/** An ACME server of one order, which checks every signature and nonce; `on` changes single answers. */
function server(
  on: (path: string, payload: unknown, times: number) => Answer | undefined = () => undefined,
) {
  const seen: string[] = []
  const nonces = new Set<string>()
  const times = new Map<string, number>()
  let last = 0
  let jwk: Protected['jwk']
  let authorized = false
  let finalized = false
  const problem = (status: number, type: string, detail = ''): Answer => ({
    status,
    body: { type: `urn:ietf:params:acme:error:${type}`, detail },
  })
  const respond = ({ status = 200, body, headers = {} }: Answer): AcmeResponse => {
    const nonce = `nonce-${++last}`
    nonces.add(nonce)
    const all: Record<string, string> = { 'replay-nonce': nonce, ...headers }
    return {
      status,
      header: (name) => all[name],
      body: typeof body === 'string' ? body : body === undefined ? '' : JSON.stringify(body),
    }
  }
  const order = () => ({
    status: finalized ? 'valid' : authorized ? 'ready' : 'pending',
    authorizations: [`${base}/authz`],
    finalize: `${base}/finalize`,
    ...(finalized && { certificate: `${base}/cert` }),
  })
  const usual = (path: string): Answer => {
    switch (path) {
      case '/account':
        return {
          status: 201,
          body: { status: 'valid' },
          headers: { location: `${base}/account/1` },
        }
      case '/order':
        return { status: 201, body: order(), headers: { location: `${base}/order/1` } }
      case '/order/1':
        return { body: order() }
      case '/authz':
        return {
          body: {
            status: authorized ? 'valid' : 'pending',
            identifier: { type: 'dns', value: 'www.shop.com' },
            challenges: [
              { type: 'dns-01', url: `${base}/dns`, token: 'no' },
              { type: 'http-01', url: `${base}/http`, token: 'tok' },
            ],
          },
        }
      case '/http':
        authorized = true
        return { body: { status: 'processing' } }
      case '/finalize':
        finalized = true
        return { body: order() }
      case '/cert':
        return { body: 'PEM' }
      default:
        return problem(404, 'malformed')
    }
  }
  const transport: Transport = async ({ method, url, body }: AcmeRequest) => {
    const path = url.slice(base.length)
    seen.push(`${method} ${path}`)
    if (path === '/directory') {
      const urls = {
        newNonce: `${base}/nonce`,
        newAccount: `${base}/account`,
        newOrder: `${base}/order`,
      }
      return { status: 200, header: () => undefined, body: JSON.stringify(urls) }
    }
    if (path === '/nonce') return respond({})
    const jws = JSON.parse(body ?? '') as { protected: string; payload: string; signature: string }
    const head = decode(jws.protected) as Protected
    assert.equal(head.url, url)
    if (head.jwk) jwk = head.jwk
    else assert.equal(head.kid, `${base}/account/1`)
    assert.ok(jwk)
    const key = createPublicKey({ key: jwk, format: 'jwk' })
    const signature = Buffer.from(jws.signature, 'base64url')
    assert.ok(
      verify(
        'sha256',
        Buffer.from(`${jws.protected}.${jws.payload}`),
        { key, dsaEncoding: 'ieee-p1363' },
        signature,
      ),
    )
    if (!nonces.delete(head.nonce)) return respond(problem(400, 'badNonce'))
    const count = (times.get(path) ?? 0) + 1
    times.set(path, count)
    return respond(on(path, decode(jws.payload), count) ?? usual(path))
  }
  return { transport, seen, problem }
}

async function obtain(
  { transport }: ReturnType<typeof server>,
  { clock = new SimClock(), order }: { clock?: SimClock; order?: string } = {},
) {
  const key = await createAccountKey()
  const client = new AcmeClient({
    directoryUrl: `${base}/directory`,
    key,
    email: 'a@b.c',
    transport,
    clock,
  })
  const challenges: (readonly Http01[])[] = []
  let running = true
  const result = client
    .obtain({
      names: ['www.shop.com'],
      csr: Buffer.from('csr'),
      order,
      onChallenges: (open) => challenges.push(open),
    })
    .then(
      (chain) => ({ chain, error: undefined }),
      (error: unknown) => ({ chain: undefined, error: error as Error }),
    )
    .finally(() => (running = false))
  // Signing takes real time: the clock moves only when somebody waits for it.
  while (running) {
    if (clock.nextInMs === undefined) await new Promise((resolve) => setImmediate(resolve))
    else await clock.advance(clock.nextInMs)
  }
  return { ...(await result), challenges, key }
}

test('from nothing to a certificate: account, order, challenge, certificate', async () => {
  const acme = server()
  const { chain, challenges, key } = await obtain(acme)
  assert.equal(chain, 'PEM')
  assert.deepEqual(challenges, [
    [{ host: 'www.shop.com', token: 'tok', keyAuthorization: `tok.${key.thumbprint}` }],
    [],
  ])
  assert.deepEqual(acme.seen, [
    'GET /directory',
    'HEAD /nonce',
    'POST /account',
    'POST /order',
    'POST /authz',
    'POST /http',
    'POST /authz',
    'POST /order/1',
    'POST /finalize',
    'POST /order/1',
    'POST /cert',
  ])
})

test('a refused nonce is replaced and the request sent again', async () => {
  const acme = server((path, _payload, times) =>
    path === '/order' && times < 3 ? acme.problem(400, 'badNonce') : undefined,
  )
  assert.equal((await obtain(acme)).chain, 'PEM')
  assert.equal(acme.seen.filter((line) => line === 'POST /order').length, 3)
})

test('a server that refuses all nonces is given up on', async () => {
  const acme = server((path) => (path === '/order' ? acme.problem(400, 'badNonce') : undefined))
  const { error } = await obtain(acme)
  assert.ok(error instanceof AcmeProblem)
  assert.equal(error.refused, false)
  assert.equal(acme.seen.filter((line) => line === 'POST /order').length, 5)
})

test('a rate limit says until when', async () => {
  const acme = server((path) =>
    path === '/order'
      ? { ...acme.problem(429, 'rateLimited', 'too many'), headers: { 'retry-after': '120' } }
      : undefined,
  )
  const { error } = await obtain(acme)
  assert.ok(error instanceof AcmeProblem)
  assert.deepEqual([error.type, error.refused, error.retryAfterMs], ['rateLimited', true, 120_000])
  assert.match(error.message, /an order for www.shop.com \(HTTP 429\): rateLimited: too many/)
})

test('a name that is not proved says what the authority saw, and its challenge is taken back', async () => {
  const acme = server((path, _payload, times) =>
    path === '/authz' && times > 1
      ? {
          body: {
            status: 'invalid',
            identifier: { value: 'www.shop.com' },
            challenges: [
              {
                type: 'http-01',
                url: '',
                error: { type: 'urn:ietf:params:acme:error:connection', detail: 'refused' },
              },
            ],
          },
        }
      : undefined,
  )
  const { error, challenges } = await obtain(acme)
  assert.ok(error instanceof AcmeProblem)
  assert.equal(error.message, 'www.shop.com is not proved (invalid): connection: refused')
  assert.deepEqual(challenges.at(-1), [])
})

test('an order that was begun is gone on with; one that has failed is replaced', async () => {
  const acme = server()
  assert.equal((await obtain(acme, { order: `${base}/order/1` })).chain, 'PEM')
  assert.equal(acme.seen.includes('POST /order'), false)
  const failed = server((path, _payload, times) =>
    path === '/order/1' && times === 1 ? { body: { status: 'invalid' } } : undefined,
  )
  assert.equal((await obtain(failed, { order: `${base}/order/1` })).chain, 'PEM')
  assert.equal(failed.seen.includes('POST /order'), true)
})

test('an account that the server has forgotten is made again', async () => {
  const acme = server((path, _payload, times) =>
    path === '/order' && times === 1 ? acme.problem(400, 'accountDoesNotExist') : undefined,
  )
  assert.equal((await obtain(acme)).chain, 'PEM')
  assert.equal(acme.seen.filter((line) => line === 'POST /account').length, 2)
})

test('a server that never comes to an end is given up on', async () => {
  const acme = server((path) =>
    path === '/finalize' || path === '/order/1'
      ? { body: { status: 'processing', authorizations: [], finalize: '' } }
      : undefined,
  )
  const clock = new SimClock()
  const { error } = await obtain(acme, { clock })
  assert.match(error?.message ?? '', /nothing came of it within 300 s/)
  assert.ok(clock.monotonic() < 320_000)
})

test('what is no directory says so', async () => {
  const { error } = await obtain({
    ...server(),
    transport: () => Promise.resolve({ status: 200, header: () => undefined, body: '<html>' }),
  })
  assert.match(error?.message ?? '', /is no ACME directory \(HTTP 200\)/)
})

test('a key is the same after it was kept', async () => {
  const key = await createAccountKey()
  const again = await readAccountKey(key.pem)
  assert.equal(again.thumbprint, key.thumbprint)
  assert.equal(again.pem, key.pem)
})
