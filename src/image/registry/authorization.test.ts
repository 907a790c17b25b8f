import assert from 'node:assert/strict'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { parseChallenges } from './authorization.ts'
import { keyEntries, keyring, matching } from './credentials.ts'
import { dockerConfigKeyring } from './docker-config.ts'
import {
  fakeRegistry,
  inTime,
  layerOf,
  pullBench,
  type FakeRegistry,
} from '../../testing/registry.ts'

const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`
const ringOf = (host: string, username: string, password: string) =>
  keyring(keyEntries({ auths: { [host]: { username, password } } }))

/** Asks for `wanted`, and otherwise for what `challenge` says. */
function guard(registry: FakeRegistry, challenge: string, wanted: () => string): void {
  registry.intercept = (request, response) => {
    if (!request.url?.startsWith('/v2/') || request.headers.authorization === wanted()) return false
    response
      .writeHead(401, { 'www-authenticate': challenge })
      .end('{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}')
    return true
  }
}

test('challenges', () => {
  assert.deepEqual(
    parseChallenges(
      'Bearer realm="https://a/token",service="a b, c",scope="x:y:pull,push", Basic realm="q\\"r"',
    ),
    [
      {
        scheme: 'bearer',
        parameters: { realm: 'https://a/token', service: 'a b, c', scope: 'x:y:pull,push' },
      },
      { scheme: 'basic', parameters: { realm: 'q"r' } },
    ],
  )
  assert.deepEqual(parseChallenges('Negotiate'), [{ scheme: 'negotiate', parameters: {} }])
  assert.deepEqual(parseChallenges('"""'), [])
  const began = performance.now()
  parseChallenges(`Bearer ${'a=",'.repeat(100_000)}`)
  assert.ok(performance.now() - began < 500, 'bounded work')
})

test('basic: the right password, a wrong one, none', async (t) => {
  const registry = await fakeRegistry(t)
  registry.image('v1', [registry.blob(await layerOf('a'))])
  guard(registry, 'Basic realm="r"', () => basic('me:secret'))
  const bench = await pullBench(t)
  const name = `${registry.host}/team/app:v1`
  await assert.rejects(
    bench.pull(name),
    /pull access denied: .* asks for a user and password; .*imagePullSecrets, or run: docker login 127/,
  )
  await assert.rejects(
    bench.pull(name, ringOf(registry.host, 'me', 'wrong')),
    /answered 401 for the manifest \(UNAUTHORIZED: authentication required\)/,
  )
  await bench.pull(name, ringOf(registry.host, 'me', 'secret'))
  await assert.rejects(bench.pull(name), /denied/, 'nobody inherits what others may see')
})

test('bearer: tokens are fetched once, again when they expire, and by refresh token', async (t) => {
  const registry = await fakeRegistry(t)
  registry.image('v1', [registry.blob(await layerOf('a')), registry.blob(await layerOf('b'))])
  const asked: string[] = []
  let token = 0
  const guarded = () =>
    guard(
      registry,
      `Bearer realm="${registry.url}/token?x=1",service="reg",scope="repository:team/app:pull"`,
      () => `Bearer token-${token}`,
    )
  guarded()
  const before = registry.intercept
  registry.intercept = (request, response) => {
    if (!request.url?.startsWith('/token')) return before(request, response)
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk))
    request.on('end', () => {
      asked.push(`${request.method} ${request.url} ${request.headers.authorization ?? ''} ${body}`)
      token++
      response.end(JSON.stringify({ access_token: `token-${token}`, expires_in: 100 }))
    })
    return true
  }
  const bench = await pullBench(t)
  const name = `${registry.host}/team/app:v1`
  await bench.pull(name, ringOf(registry.host, 'me', 'secret'))
  const scope = 'service=reg&scope=repository%3Ateam%2Fapp%3Apull'
  assert.deepEqual(asked, [`GET /token?x=1&${scope} ${basic('me:secret')} `])
  await bench.resolve(name, ringOf(registry.host, 'me', 'secret'))
  assert.equal(asked.length, 1)
  await bench.clock.advance(91_000)
  await bench.resolve(name, ringOf(registry.host, 'me', 'secret'))
  assert.equal(asked.length, 2)
  const refresh = keyring(keyEntries({ [registry.host]: { identitytoken: 'r-1' } }))
  await bench.resolve(name, refresh)
  assert.equal(
    asked[2],
    `POST /token?x=1  ${scope}&grant_type=refresh_token&client_id=ebb&refresh_token=r-1`,
  )
})

for (const [what, answer, refused] of [
  [
    'a refusal',
    { status: 403, body: '{"details":"no such user"}' },
    /gives tokens for .* answered 403 \(no such user\)/,
  ],
  ['no token', { status: 200, body: '{}' }, /answered 200 without a token/],
  [
    'a token that breaks lines',
    { status: 200, body: '{"token":"a\\r\\nx: y"}' },
    /without a token/,
  ],
  ['a web page', { status: 200, body: '<html>' }, /without a token/],
  ['too much', { status: 200, body: 'x'.repeat(2 << 20) }, /more than the 1048576 bytes/],
] as const)
  test(`token servers that answer ${what}`, async (t) => {
    const registry = await fakeRegistry(t)
    registry.intercept = (request, response) => {
      if (request.url?.startsWith('/token')) response.writeHead(answer.status).end(answer.body)
      else
        response
          .writeHead(401, { 'www-authenticate': `Bearer realm="${registry.url}/token"` })
          .end()
      return true
    }
    const bench = await pullBench(t)
    await assert.rejects(inTime(bench.clock, bench.pull(`${registry.host}/a:v1`)), refused)
  })

test('a realm that is no URL is not asked', async (t) => {
  const registry = await fakeRegistry(t)
  guard(registry, 'Bearer realm="ftp://x/"', () => 'never')
  const bench = await pullBench(t)
  await assert.rejects(bench.pull(`${registry.host}/a:v1`), /asks for a token from "ftp:\/\/x\/"/)
})

test('which entry is for which image', () => {
  const entries = keyEntries({
    auths: {
      'https://index.docker.io/v1/': { auth: Buffer.from('hub:1').toString('base64') },
      'registry.test': { username: 'all', password: '2' },
      'registry.test/team': { username: 'team', password: '3' },
      'registry.test:5000': { username: 'port', password: '4' },
      '*.example.test': { username: 'glob', password: '5' },
      'https://gcr.test/v2/': { identitytoken: 'id' },
      'bad.test': { username: 'no password' },
      'worse.test': 'text',
    },
  })
  const users = (host: string, repository = 'x') =>
    matching(entries, host, repository).map(
      ({ username, identityToken }) => username ?? identityToken,
    )
  assert.deepEqual(users('docker.io', 'library/nginx'), ['hub'])
  assert.deepEqual(users('registry.test', 'team/app'), ['team', 'all'])
  assert.deepEqual(users('registry.test', 'teams/app'), ['all'])
  assert.deepEqual(users('registry.test:5000'), ['port'])
  assert.deepEqual(users('a.example.test'), ['glob'])
  assert.deepEqual(users('a.b.example.test'), [])
  assert.deepEqual(users('gcr.test'), ['id'])
  assert.deepEqual(users('bad.test'), [])
  assert.deepEqual(keyEntries('nonsense'), [])
})

test("Docker's config: entries, helpers for a host, a store for the rest", async (t) => {
  const folder = await dockerFolder(t)
  const warnings: string[] = []
  const keys = dockerConfigKeyring({ folder, warn: (message) => warnings.push(message) })
  assert.deepEqual(await keys.find('registry.test', 'a'), [], 'no file')
  const write = (value: unknown) =>
    writeFile(
      join(folder, 'config.json'),
      typeof value === 'string' ? value : JSON.stringify(value),
    )
  await write({ auths: { 'registry.test': { auth: Buffer.from('me:pw').toString('base64') } } })
  assert.deepEqual(await keys.find('registry.test', 'a'), [{ username: 'me', password: 'pw' }])
  await write({ credHelpers: { 'a.test': 'ebb-missing', 'b.test': '../../bin/sh' } })
  assert.deepEqual(await keys.find('a.test', 'a'), [])
  assert.match(warnings.join(), /docker-credential-ebb-missing could not be asked for a\.test/)
  assert.deepEqual(await keys.find('b.test', 'a'), [], 'a path is no helper')
  await write('{ not json')
  assert.deepEqual(await keys.find('registry.test', 'a'), [])
  assert.match(warnings.join(), /config\.json can't be used/)
})

test(
  'a credential helper answers for its host',
  { skip: process.platform !== 'linux' },
  async (t) => {
    const folder = await dockerFolder(t)
    const helper = join(folder, 'docker-credential-ebbtest')
    await writeFile(
      helper,
      '#!/bin/sh\nread host\nprintf \'{"ServerURL":"%s","Username":"u-%s","Secret":"s"}\' "$host" "$host"\n',
    )
    await chmod(helper, 0o755)
    await writeFile(join(folder, 'config.json'), JSON.stringify({ credsStore: 'ebbtest' }))
    const keys = dockerConfigKeyring({
      folder,
      helperFolder: folder,
      warn: (message) => assert.fail(message),
    })
    assert.deepEqual(await keys.find('a.test', 'x'), [{ username: 'u-a.test', password: 's' }])
    assert.deepEqual(await keys.find('docker.io', 'x'), [
      { username: 'u-https://index.docker.io/v1/', password: 's' },
    ])
  },
)

async function dockerFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ebb-docker-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}
