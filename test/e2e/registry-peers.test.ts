/** The embedded registry with those who speak to registries every day: docker, skopeo, buildah and crane push and pull. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { openContentStore, type ContentStore } from '../../src/image/content-store.ts'
import { readManifest } from '../../src/image/manifest.ts'
import { unpackImage } from '../../src/image/unpack.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { silent } from '../../src/lib/log.ts'
import { startRegistry } from '../../src/registry/registry.ts'
import { tarOf } from '../../src/testing/registry.ts'
import { openDockerd } from './dockerd.ts'
import { hasGo } from './go.ts'
import { installed } from './installed.ts'
import { run } from './platform.ts'

const stack = new AsyncDisposableStack()
let folder: string
let store: ContentStore
let host: string
/** With the password of the registry. */
let config: string

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ebb-peers-'))
  stack.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  store = await openContentStore(folder)
  const registry = stack.use(
    await startRegistry({
      store,
      clock: systemClock,
      log: silent,
      host: '127.0.0.1',
      port: 0,
      username: 'ebb',
      password: 'secret',
    }),
  )
  host = `127.0.0.1:${registry.port}`
  const auth = Buffer.from('ebb:secret').toString('base64')
  config = join(folder, 'config.json')
  await writeFile(config, JSON.stringify({ auths: { [host]: { auth } } }))
})
after(() => stack.disposeAsync())

async function must(file: string, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const { code, stdout, stderr } = await run(file, args, { env, timeoutMs: 120_000 })
  if (code !== 0) throw new Error(`${file} ${args.join(' ')}: ${stderr || stdout}`)
  return stdout
}

const without = (command: string, debianPackage: string): string | false =>
  !installed(command, debianPackage) && `${command} is not here and can not be installed`

/** A folder with one file, unpacked from what was pushed. */
async function fileOf(repository: string, path: string): Promise<string> {
  const digest = await store.find(`${host}/${repository}`)
  assert.ok(digest !== undefined, `${repository} is there`)
  const { layers } = await readManifest(store, digest)
  return await readFile(join(await unpackImage(store, digest, layers), path), 'utf8')
}

async function layoutOf(text: string): Promise<string> {
  const path = join(folder, `${text}.tar`)
  await writeFile(path, await tarOf([{ name: 'etc/greeting', text }]))
  return path
}

test(
  'docker logs in, pushes, pulls',
  { skip: without('docker', 'docker.io'), timeout: 120_000 },
  async (t) => {
    const found = await openDockerd()
    if (typeof found === 'string') return t.skip(found)
    await using engine = found
    const env = { DOCKER_HOST: engine.host, DOCKER_CONFIG: join(folder, 'docker') }
    const name = `${host}/team/by-docker:v1`
    await must('docker', ['import', await layoutOf('docker'), name], env)
    const refused = await run('docker', ['push', name], { env })
    assert.notEqual(refused.code, 0)
    assert.match(refused.stderr, /no basic auth credentials|unauthorized/)
    await must('docker', ['login', '--username', 'ebb', '--password', 'secret', host], env)
    await must('docker', ['push', name], env)
    assert.equal(await fileOf('team/by-docker:v1', 'etc/greeting'), 'docker')
    await must('docker', ['image', 'rm', name], env)
    await must('docker', ['pull', name], env)
    await must('docker', ['tag', name, `${host}/elsewhere:v2`], env)
    const pushed = await must('docker', ['push', `${host}/elsewhere:v2`], env)
    assert.match(pushed, /Mounted from team\/by-docker|Layer already exists/)
  },
)

test(
  'skopeo copies both formats, recompresses, lists, deletes',
  { skip: without('skopeo', 'skopeo'), timeout: 120_000 },
  async () => {
    const skopeo = (...args: readonly string[]) => must('skopeo', ['--insecure-policy', ...args])
    const from = [`--src-tls-verify=false`, `--src-authfile=${config}`]
    const to = [`--dest-tls-verify=false`, `--dest-authfile=${config}`]
    const layer = await layoutOf('skopeo')
    const manifest = await imageIn(join(folder, 'oci'), await readFile(layer))
    await skopeo(
      'copy',
      '--preserve-digests',
      ...to,
      `oci:${join(folder, 'oci')}`,
      `docker://${host}/s/oci:v1`,
    )
    assert.equal(await store.find(`${host}/s/oci:v1`), manifest, 'the very bytes')
    const docker = ['--format=v2s2', `docker://${host}/s/oci:v1`, `docker://${host}/s/docker:v1`]
    await skopeo('copy', ...from, ...to, ...docker)
    assert.equal(await fileOf('s/docker:v1', 'etc/greeting'), 'skopeo')
    const zstd = ['--dest-compress-format=zstd']
    await skopeo(
      'copy',
      ...zstd,
      ...from,
      ...to,
      ...docker.slice(1, 2),
      `docker://${host}/s/zstd:v1`,
    )
    assert.equal(await fileOf('s/zstd:v1', 'etc/greeting'), 'skopeo')
    await skopeo('copy', ...from, `docker://${host}/s/oci:v1`, `dir:${join(folder, 'dir')}`)
    const access = ['--tls-verify=false', `--authfile=${config}`]
    assert.match(await skopeo('list-tags', ...access, `docker://${host}/s/oci`), /"v1"/)
    assert.match(await skopeo('inspect', ...access, `docker://${host}/s/oci:v1`), /"Digest"/)
    await skopeo('delete', ...access, `docker://${host}/s/oci:v1`)
    await assert.rejects(
      skopeo('inspect', ...access, `docker://${host}/s/oci:v1`),
      /manifest unknown|is not here/,
    )
  },
)

/** An OCI layout with one image; answers its manifest's digest. */
async function imageIn(path: string, layer: Buffer): Promise<string> {
  const blobs = join(path, 'blobs', 'sha256')
  await mkdir(blobs, { recursive: true })
  const put = async (mediaType: string, bytes: Buffer) => {
    const hex = createHash('sha256').update(bytes).digest('hex')
    await writeFile(join(blobs, hex), bytes)
    return { mediaType, digest: `sha256:${hex}`, size: bytes.length }
  }
  const json = (value: unknown) => Buffer.from(JSON.stringify(value))
  const type = (name: string) => `application/vnd.oci.image.${name}`
  const described = await put(type('layer.v1.tar'), layer)
  const rootfs = { type: 'layers', diff_ids: [described.digest] }
  const platform = { architecture: process.arch === 'x64' ? 'amd64' : process.arch, os: 'linux' }
  const image = await put(type('config.v1+json'), json({ ...platform, config: {}, rootfs }))
  const manifest = await put(
    type('manifest.v1+json'),
    json({
      schemaVersion: 2,
      mediaType: type('manifest.v1+json'),
      config: image,
      layers: [described],
    }),
  )
  await writeFile(join(path, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
  await writeFile(join(path, 'index.json'), json({ schemaVersion: 2, manifests: [manifest] }))
  return manifest.digest
}

test(
  'buildah builds and pushes',
  {
    skip: (process.getuid?.() !== 0 && 'buildah takes root here') || without('buildah', 'buildah'),
    timeout: 120_000,
  },
  async () => {
    const place = ['--root', join(folder, 'buildah'), '--runroot', join(folder, 'buildah-run')]
    const buildah = (...args: readonly string[]) =>
      must('buildah', ['--storage-driver', 'vfs', ...place, ...args])
    const container = (await buildah('from', 'scratch')).trim()
    await writeFile(join(folder, 'greeting'), 'buildah')
    await buildah('copy', '--quiet', container, join(folder, 'greeting'), '/etc/greeting')
    await buildah('commit', '--quiet', container, 'made')
    const access = ['--tls-verify=false', `--authfile=${config}`]
    await buildah('push', ...access, 'made', `docker://${host}/by/buildah:v1`)
    assert.equal(await fileOf('by/buildah:v1', 'etc/greeting'), 'buildah')
    await buildah('rm', container)
    await buildah('rmi', 'made')
    assert.match(await buildah('pull', ...access, `docker://${host}/by/buildah:v1`), /^\w{64}/)
  },
)

test(
  'crane appends, copies by mounting, lists, makes indexes, deletes',
  { skip: !hasGo(23) && 'there is no Go here to build crane with', timeout: 180_000 },
  async (t) => {
    const bin = join(folder, 'bin')
    const built = await run(
      'go',
      ['install', 'github.com/google/go-containerregistry/cmd/crane@v0.20.3'],
      { env: { GOBIN: bin, GOFLAGS: '-mod=mod' }, timeoutMs: 120_000 },
    )
    if (built.code !== 0) return t.skip(`crane can't be built here: ${built.stderr.slice(-300)}`)
    const env = { DOCKER_CONFIG: folder }
    const crane = (...args: readonly string[]) =>
      must(join(bin, 'crane'), [...args, '--insecure'], env)
    const name = `${host}/by/crane`
    await crane('append', '--new_layer', await layoutOf('crane'), '--new_tag', `${name}:v1`)
    assert.equal(await fileOf('by/crane:v1', 'etc/greeting'), 'crane')
    await crane('copy', `${name}:v1`, `${host}/by/crane-copy:v1`)
    await crane('tag', `${name}:v1`, 'v2')
    assert.deepEqual((await crane('ls', name)).trim().split('\n'), ['v1', 'v2'])
    assert.match(await crane('catalog', host), /by\/crane-copy/)
    const digest = (await crane('digest', `${name}:v1`)).trim()
    assert.equal(digest, await store.find(`${name}:v1`))
    assert.match(await crane('manifest', `${name}@${digest}`), /"layers"/)
    assert.match(await crane('validate', '--remote', `${name}:v1`), /PASS/)
    await crane('pull', `${name}:v1`, join(folder, 'crane-out.tar'))
    await crane('index', 'append', '--tag', `${name}:all`, '--manifest', `${name}:v1`)
    assert.match(await crane('manifest', `${name}:all`), /"manifests"/)
    await crane('delete', `${host}/by/crane-copy:v1`)
    return undefined
  },
)
