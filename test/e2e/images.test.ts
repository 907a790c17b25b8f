/** Images from real registries: through a mirror rule, with passwords and tokens, by push, by file; and what is refused. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { tarOf } from '../../src/testing/registry.ts'
import { installed } from './installed.ts'
import { configure, startEbb, until, withoutKubectl, type Ebb } from './platform.ts'
import {
  selfSigned,
  skopeo,
  startDockerRegistry,
  startTokenServer,
  withoutRegistry,
} from './registry.ts'

const skip =
  withoutKubectl ||
  withoutRegistry ||
  (!installed('busybox', 'busybox-static') && 'busybox-static can not be installed here') ||
  (!installed('htpasswd', 'apache2-utils') && 'htpasswd (apache2-utils) can not be installed here')

let ebb: Ebb
let image: string
const stack = new AsyncDisposableStack()

before(async () => {
  if (skip) return
  ebb = stack.use(await startEbb())
  image = await ebb.file('busybox.tar', '')
  await writeFile(image, await busyboxImage())
})
after(() => stack.disposeAsync())

/** An image FROM scratch that serves a page: what `docker save` would write. */
async function busyboxImage(): Promise<Buffer> {
  const busybox = await readFile('/bin/busybox').catch(() => readFile('/usr/bin/busybox'))
  const layer = await tarOf([
    { name: 'bin/', type: 'directory', mode: 0o755 },
    { name: 'bin/busybox', mode: 0o755, text: busybox },
    { name: 'bin/sh', type: 'symlink', linkname: '/bin/busybox' },
    { name: 'www/index.html', text: 'hello from scratch\n' },
  ])
  const config = {
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: { Cmd: ['/bin/sh', '-c', 'exec /bin/busybox httpd -f -p $PORT -h /www'] },
    rootfs: {
      type: 'layers',
      diff_ids: [`sha256:${createHash('sha256').update(layer).digest('hex')}`],
    },
  }
  return await tarOf([
    { name: 'layer.tar', text: layer },
    { name: 'config.json', text: JSON.stringify(config) },
    {
      name: 'manifest.json',
      text: '[{"Config":"config.json","RepoTags":["busybox-app:v1"],"Layers":["layer.tar"]}]',
    },
  ])
}

const push = (name: string, ...flags: readonly string[]) =>
  skopeo('copy', '--dest-tls-verify=false', ...flags, `docker-archive:${image}`, `docker://${name}`)

const registries = (value: object) =>
  configure(ebb, 'config-registries', { 'registries.yaml': JSON.stringify(value) })

const service = (name: string, imageName: string, spec: object = {}) => ({
  apiVersion: 'serving.knative.dev/v1',
  kind: 'Service',
  metadata: { name },
  spec: { template: { spec: { ...spec, containers: [{ image: imageName }] } } },
})

const pod = (name: string, imageName: string, spec: object = {}, container: object = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: {
    ...spec,
    containers: [
      { name: 'c', image: imageName, env: [{ name: 'PORT', value: '8080' }], ...container },
    ],
  },
})

const dockerSecret = (name: string, host: string, [username, password]: readonly string[]) => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name },
  type: 'kubernetes.io/dockerconfigjson',
  stringData: {
    '.dockerconfigjson': JSON.stringify({ auths: { [host]: { username, password } } }),
  },
})

async function apply(...objects: readonly object[]): Promise<void> {
  for (const object of objects)
    await ebb.ok('apply', '-f', await ebb.file('object.json', JSON.stringify(object)))
}

const field = (what: string, path: string) => ebb.ok('get', what, '-o', `jsonpath={${path}}`)
const waiting = (name: string) =>
  field(`pod/${name}`, '.status.containerStatuses[0].state.waiting.reason')
const message = (name: string) =>
  field(`pod/${name}`, '.status.containerStatuses[0].state.waiting.message')
const events = async (name: string) =>
  await ebb.ok(
    'get',
    'events',
    `--field-selector=involvedObject.name=${name}`,
    '-o',
    'jsonpath={range .items[*]}{.type} {.reason} {.message}{"\\n"}{end}',
  )
const runs = (name: string) =>
  until(`${name} runs`, async () => (await field(`pod/${name}`, '.status.phase')) === 'Running')

test('a Service of an image that a mirror has', { skip, timeout: 90_000 }, async () => {
  const registry = stack.use(await startDockerRegistry())
  await push(`${registry.host}/mirror/team/app:v1`)
  await registries({
    mirrors: {
      'registry.cn-hangzhou.aliyuncs.com': {
        endpoint: [`http://${registry.host}`],
        rewrite: { '^team/(.*)': 'mirror/team/$1' },
        fallback: 'false',
      },
    },
  })
  await apply(service('mirrored', 'registry.cn-hangzhou.aliyuncs.com/team/app:v1'))
  await ebb.ok('wait', 'ksvc/mirrored', '--for=condition=Ready', '--timeout=55s')
  const { status, body } = await ebb.get('mirrored.default.localhost')
  assert.deepEqual([status, body], [200, 'hello from scratch\n'])
  const { Digest: digest } = JSON.parse(
    await skopeo('inspect', '--tls-verify=false', `docker://${registry.host}/mirror/team/app:v1`),
  ) as { Digest: string }
  const resolved = `registry.cn-hangzhou.aliyuncs.com/team/app@${digest}`
  assert.equal(
    await field('revision/mirrored-00001', '.status.containerStatuses[0].imageDigest'),
    resolved,
  )
  const name = await ebb.ok('get', 'pod', '-o', 'jsonpath={.items[0].metadata.name}')
  assert.equal(await field(`pod/${name}`, '.status.containerStatuses[0].imageID'), resolved)
  const told = await events(name)
  assert.match(told, new RegExp(`Normal Pulling Pulling image "${resolved}"`))
  assert.match(
    told,
    /Normal Pulled Successfully pulled image ".*" in \S+ \(\S+ including waiting\)\. Image size: \d+ bytes\./,
  )
  await ebb.ok('delete', 'ksvc/mirrored')
  await push(`${registry.host}/mirror/team/early:v1`)
  const early = 'registry.cn-hangzhou.aliyuncs.com/team/early:v1'
  const pulled = await ebb.ebb('image', 'pull', early)
  assert.equal(pulled.code, 0, pulled.stderr)
  assert.equal(pulled.stdout, `${early}@${digest}\n`)
  const { stdout } = await ebb.ebb('image', 'inspect', early)
  const { referrers, cmd } = JSON.parse(stdout) as { referrers: unknown; cmd: unknown[] }
  assert.deepEqual([referrers, cmd[0]], [[], '/bin/sh'])
  const refused = await ebb.ebb('image', 'pull', early, '--offline')
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /offline mode asks no registry; import it with: ebb image import/)
})

test(
  'tokens over TLS of an own authority, by imagePullSecrets',
  { skip, timeout: 90_000 },
  async () => {
    const certificate = await selfSigned()
    const token = stack.use(await startTokenServer('me', 'secret', certificate))
    const registry = stack.use(await startDockerRegistry({ token, tls: certificate }))
    // The name is no loopback one, which would be trusted as it is.
    const host = 'private.test'
    await push(`${registry.host}/team/app:v1`, '--dest-creds=me:secret')
    const mirrors = { [host]: { endpoint: [`https://${registry.host}`], fallback: 'false' } }
    const configs = { [registry.host]: { tls: { ca: 'private.crt' } } }
    await configure(ebb, 'config-registries', { 'private.crt': certificate.cert })
    await registries({ mirrors, configs })
    await apply(pod('denied', `${host}/team/app:v1`))
    await until('it is refused', async () => (await waiting('denied')) === 'ImagePullBackOff')
    assert.match(
      await message('denied'),
      /pull access denied: .* answered 401 .*imagePullSecrets, or run: docker login/,
    )
    await apply(dockerSecret('private', registry.host, ['me', 'secret']))
    await apply(
      pod('named', `${host}/team/app:v1`, {
        imagePullSecrets: [{ name: 'private' }, { name: 'none' }],
      }),
    )
    await runs('named')
    assert.match(await events('named'), /FailedToRetrieveImagePullSecret .*\(none\)/)
    assert.ok(token.given.includes('repository:team/app:pull'))
    const own = ['patch', 'sa', 'default', '-p', '{"imagePullSecrets":[{"name":"private"}]}']
    await ebb.ok(...own)
    await apply(service('private', `${host}/team/app:v1`))
    await ebb.ok('wait', 'ksvc/private', '--for=condition=Ready', '--timeout=55s')
    await registries({
      mirrors,
      configs: { [registry.host]: { tls: { insecure_skip_verify: 'false' } } },
    })
    await apply(pod('untrusted', `${host}/team/app:v1`, {}, { imagePullPolicy: 'Always' }))
    await until('it is refused', async () => (await waiting('untrusted')) === 'ImagePullBackOff')
    assert.match(await message('untrusted'), /its certificate is self-signed; say whom to trust/)
    await ebb.ok('delete', 'pod,ksvc', '--all', '--grace-period=0', '--force')
  },
)

test('a password, and what can not be had', { skip, timeout: 90_000 }, async () => {
  const registry = stack.use(await startDockerRegistry({ htpasswd: ['me', 'secret'] }))
  await push(`${registry.host}/team/app:v1`, '--dest-creds=me:secret')
  await registries({
    mirrors: { 'offline.test': { endpoint: [`http://127.0.0.1:1`], fallback: 'false' } },
    configs: { [registry.host]: { auth: { username: 'me', password: 'secret' } } },
  })
  await apply(
    pod('known', `${registry.host}/team/app:v1`),
    pod('missing', `${registry.host}/team/app:v2`),
    pod('unreachable', 'offline.test/app'),
    pod('never', `${registry.host}/team/other`, {}, { imagePullPolicy: 'Never' }),
    pod('invalid', 'dev.local/UPPER'),
  )
  await runs('known')
  await until('back-off', async () => (await waiting('missing')) === 'ImagePullBackOff')
  assert.match(
    await message('missing'),
    /^Back-off pulling image ".*v2": ErrImagePull: failed to pull and unpack image ".*v2": .*v2: not found: 127\.0\.0\.1:\d+ answered 404 .*; check the name/,
  )
  assert.match(
    await events('missing'),
    /Warning Failed Failed to pull image.*\n[^]*Warning Failed Error: ErrImagePull\n[^]*Normal BackOff Back-off pulling image/,
  )
  await until('unreachable', async () => /connection refused/.test(await message('unreachable')))
  await until('never', async () => (await waiting('never')) === 'ErrImageNeverPull')
  await until('invalid', async () => (await waiting('invalid')) === 'InvalidImageName')
  await apply(service('missing', `${registry.host}/team/app:v2`))
  await until('the revision says so', async () =>
    /Unable to fetch image ".*v2".*404/.test(
      await field('revision/missing-00001', '.status.conditions[*].message'),
    ),
  )
  await ebb.ok('delete', 'pod,ksvc', '--all', '--grace-period=0', '--force')
})

test(
  'what is pushed to the platform runs; images go out and in as files',
  { skip, timeout: 90_000 },
  async () => {
    const endpoints = await readFile(join(ebb.dataDir, 'endpoints.json'), 'utf8')
    const { registry = '' } = JSON.parse(endpoints) as { registry?: string }
    const keys = `--authfile=${join(ebb.dataDir, 'docker', 'config.json')}`
    await assert.rejects(push(`${registry}/team/pushed:v1`), /unauthorized/)
    await push(`${registry}/team/pushed:v1`, keys)
    await push(`${registry}/team/pushed:v2`, keys, '--format=oci')
    const listed = await skopeo(
      'list-tags',
      '--tls-verify=false',
      keys,
      `docker://${registry}/team/pushed`,
    )
    assert.deepEqual((JSON.parse(listed) as { Tags: string[] }).Tags, ['v1', 'v2'])
    await apply(service('pushed', `${registry}/team/pushed:v2`))
    await ebb.ok('wait', 'ksvc/pushed', '--for=condition=Ready', '--timeout=55s')
    await skopeo('delete', '--tls-verify=false', keys, `docker://${registry}/team/pushed:v1`)
    const file = join(ebb.dataDir, 'out.tar')
    assert.equal((await ebb.ebb('image', 'export', `${registry}/team/pushed:v2`, file)).code, 0)
    await skopeo('inspect', `docker-archive:${file}`)
    await skopeo('inspect', `oci-archive:${file}`)
    const pruned = await ebb.ebb('image', 'prune', '--all')
    assert.doesNotMatch(pruned.stdout, /pushed:v2/, 'what runs stays')
    assert.equal((await ebb.ebb('image', 'import', file, '--tag', 'dev.local/again')).code, 0)
    const { stdout } = await ebb.ebb('image', 'list')
    assert.match(stdout, /dev\.local\/again:latest +\w{12} +\d.* here/)
    assert.doesNotMatch(stdout, /mirror|offline/)
  },
)
