import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { SimClock } from '../../testing/sim-clock.ts'
import { buildImage } from '../build.ts'
import { openContentStore, type ContentStore } from '../content-store.ts'
import { hostRuntimeOf, machinePlatform, readManifest } from '../manifest.ts'

const clock = new SimClock()

async function folder(t: TestContext, files: Readonly<Record<string, string>> = {}) {
  const path = await mkdtemp(join(tmpdir(), 'ebb-base-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) {
    await mkdir(join(path, name, '..'), { recursive: true })
    await writeFile(join(path, name), text)
  }
  return path
}

/** An image as Docker pushes it. */
async function baseIn(store: ContentStore, more: Readonly<Record<string, unknown>> = {}) {
  const layer = await store.put(
    'application/vnd.docker.image.rootfs.diff.tar.gzip',
    Buffer.from('a layer'),
  )
  const config = await store.put(
    'application/vnd.docker.container.image.v1+json',
    Buffer.from(
      JSON.stringify({
        ...machinePlatform(),
        config: {
          Env: ['PATH=/opt/node/bin:/bin', 'NODE_VERSION=24.1.0', 'PORT=1'],
          User: '1000:1000',
          Entrypoint: ['docker-entrypoint.sh'],
          Cmd: ['node'],
          ExposedPorts: { '9/tcp': {} },
          Labels: { maintainer: 'them', 'dev.ebb.runtime': 'node' },
          StopSignal: 'SIGQUIT',
        },
        rootfs: { type: 'layers', diff_ids: [`sha256:${'d'.repeat(64)}`] },
        history: [{ created_by: 'them' }],
        ...more,
      }),
    ),
  )
  const manifest = await store.put(
    'application/vnd.docker.distribution.manifest.v2+json',
    Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
        config,
        layers: [layer],
      }),
    ),
  )
  return { reference: 'docker.io/library/node:24', digest: manifest.digest }
}

test('on a base: its layers, user and variables, started by its own node at /app', async (t) => {
  const store = await openContentStore(await folder(t))
  const base = await baseIn(store)
  const path = await folder(t, {
    'package.json': '{"scripts":{"start":"tool --fast"},"dependencies":{"tool":"1"}}',
    'node_modules/tool/package.json': '{"name":"tool","version":"1.0.0"}',
    'node_modules/.bin/tool': '#!/usr/bin/env node\n',
  })
  const { digest } = await buildImage({ path, reference: 'x', store, clock, base })
  const { config, layers, configDigest } = await readManifest(store, digest)
  assert.deepEqual(
    layers.map(({ mediaType }) => mediaType),
    Array.from({ length: 3 }, () => 'application/vnd.oci.image.layer.v1.tar+gzip'),
  )
  // Nothing marks it as one that needs this machine's programs.
  assert.equal(hostRuntimeOf(config), undefined)
  assert.deepEqual(config.entrypoint, ['node_modules/.bin/tool', '--fast'])
  assert.deepEqual(config.cmd, [])
  assert.equal(config.workingDir, '/app')
  assert.equal(config.user, '1000:1000')
  assert.equal(config.stopSignal, 'SIGQUIT')
  assert.deepEqual(config.env, {
    PATH: '/opt/node/bin:/bin',
    NODE_VERSION: '24.1.0',
    PORT: '8080',
  })
  assert.deepEqual(config.exposedPorts, [9, 8080])
  assert.deepEqual(config.labels, { maintainer: 'them' })
  const stored = JSON.parse((await store.read(configDigest)).toString()) as {
    readonly rootfs: { readonly diff_ids: readonly string[] }
    readonly history: readonly unknown[]
  }
  assert.equal(stored.rootfs.diff_ids.length, 3)
  assert.equal(stored.rootfs.diff_ids[0], `sha256:${'d'.repeat(64)}`)
  assert.equal(stored.history.length, 3)
  const manifest = JSON.parse((await store.read(digest)).toString()) as {
    readonly annotations: unknown
  }
  assert.deepEqual(manifest.annotations, {
    'org.opencontainers.image.base.name': base.reference,
    'org.opencontainers.image.base.digest': base.digest,
  })
})

test('refused: a base for another machine, and one that is not whole', async (t) => {
  const store = await openContentStore(await folder(t))
  const path = await folder(t, { 'index.js': '' })
  const build = (base: Awaited<ReturnType<typeof baseIn>>) =>
    buildImage({ path, reference: 'x', store, clock, base })
  const other = await baseIn(store, { architecture: 's390x' })
  await assert.rejects(build(other), {
    name: 'BuildError',
    message: /s390x/,
  })
  const torn = await baseIn(store, { rootfs: { type: 'layers', diff_ids: [] } })
  await assert.rejects(build(torn), { message: /has 1 layers and speaks of 0/ })
})
