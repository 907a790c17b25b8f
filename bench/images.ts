/**
 * Images: how fast they are pulled and unpacked, against `skopeo copy` and `umoci unpack` of the same image from the same
 * docker-registry, in turn; and how long the event loop of whoever pulls and unpacks stands still meanwhile.
 */
import { createHash, randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { gzipSync } from 'node:zlib'
import { openContentStore } from '../src/image/content-store.ts'
import { readManifest } from '../src/image/manifest.ts'
import { parseReference } from '../src/image/reference.ts'
import { noKeys } from '../src/image/registry/credentials.ts'
import { createPuller } from '../src/image/registry/puller.ts'
import { unpackAside } from '../src/image/unpack-aside.ts'
import { systemClock } from '../src/lib/clock.ts'
import { noRegistries } from '../src/lib/registries.ts'
import { tarOf } from '../src/testing/registry.ts'
import { installed } from '../test/e2e/installed.ts'
import { run } from '../test/e2e/platform.ts'
import { skopeo, startDockerRegistry, withoutRegistry } from '../test/e2e/registry.ts'
import { median, type Row } from './row.ts'

export interface Sizes {
  /** Of a layer of bytes that can't be compressed, and of one of text. */
  readonly megabytes: number
  readonly smallFiles: number
  readonly rounds: number
}

const usual: Sizes = { megabytes: 200, smallFiles: 10_000, rounds: 3 }

/** None where docker-registry, skopeo or umoci are not. */
export async function rows(sizes: Sizes = usual): Promise<readonly Row[]> {
  if (withoutRegistry || !installed('umoci', 'umoci')) return []
  const folder = await mkdtemp(join(tmpdir(), 'ebb-bench-images-'))
  try {
    await using registry = await startDockerRegistry()
    const name = `${registry.host}/bench:v1`
    const layout = join(folder, 'source')
    await writeImage(layout, await layersOf(sizes))
    await skopeo('copy', '--dest-tls-verify=false', `oci:${layout}`, `docker://${name}`)
    const taken: Taken[] = []
    for (let round = 0; round < sizes.rounds; round++) {
      const place = join(folder, String(round))
      await mkdir(place)
      // Whoever comes first finds the registry's files cold: in turn.
      const both = [() => byEbb(name, place), () => byPeers(name, place)]
      const parts: Partial<Taken>[] = []
      for (const measure of round % 2 === 0 ? both : both.toReversed()) parts.push(await measure())
      taken.push(Object.assign({}, ...parts))
      await rm(place, { recursive: true, force: true })
    }
    const of = (key: keyof Taken) => median(taken.map((one) => one[key]))
    const what = `${sizes.megabytes} MB random, ${sizes.megabytes} MB text, ${sizes.smallFiles} small files`
    const second = (title: string, key: keyof Taken): Row => ({
      name: title,
      value: of(key),
      unit: 's',
    })
    const ratio = (title: string, ours: keyof Taken, theirs: keyof Taken): Row => ({
      name: title,
      value: median(taken.map((one) => one[ours] / one[theirs])),
      unit: '×',
      goal: '<= 1 ×',
    })
    return [
      second(`image (${what}): pull`, 'pullS'),
      second('the same by skopeo copy to an OCI layout', 'skopeoS'),
      ratio('pull, of the time of skopeo', 'pullS', 'skopeoS'),
      { name: 'longest pause of the event loop in a pull', value: of('pullPauseMs'), unit: 'ms' },
      second('the image: unpack', 'unpackS'),
      second('the same by umoci unpack', 'umociS'),
      ratio('unpack, of the time of umoci', 'unpackS', 'umociS'),
      {
        name: 'longest pause of the event loop in unpacking',
        value: of('unpackPauseMs'),
        unit: 'ms',
        goal: '<= 20 ms',
      },
      {
        name: 'longest pause of an event loop at rest while skopeo and umoci work',
        value: of('restPauseMs'),
        unit: 'ms',
      },
    ]
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

interface Taken {
  readonly pullS: number
  readonly pullPauseMs: number
  readonly unpackS: number
  readonly unpackPauseMs: number
  readonly skopeoS: number
  readonly umociS: number
  /** While the event loop only waits for skopeo and umoci: what the machine itself does to it. */
  readonly restPauseMs: number
}

async function byEbb(name: string, place: string): Promise<Partial<Taken>> {
  const store = await openContentStore(join(place, 'ebb'))
  const settings = { registries: noRegistries, maxParallel: 4, maxImageBytes: 2 ** 40 }
  using puller = createPuller({
    store,
    clock: systemClock,
    keys: noKeys,
    settings: () => settings,
  })
  const pull = await watched(() => puller.pull(parseReference(name), noKeys))
  const { layers } = await readManifest(store, pull.value.digest)
  const unpack = await watched(() => unpackAside(store, pull.value.digest, layers))
  return {
    pullS: pull.seconds,
    pullPauseMs: pull.pauseMs,
    unpackS: unpack.seconds,
    unpackPauseMs: unpack.pauseMs,
  }
}

async function byPeers(name: string, place: string): Promise<Partial<Taken>> {
  const layout = join(place, 'layout')
  const copy = await watched(() =>
    skopeo('copy', '--quiet', '--src-tls-verify=false', `docker://${name}`, `oci:${layout}:v1`),
  )
  const unpack = await watched(async () => {
    const rootless = process.getuid?.() === 0 ? [] : ['--rootless']
    const bundle = join(place, 'bundle')
    const args = ['unpack', ...rootless, '--image', `${layout}:v1`, bundle]
    const { code, stderr } = await run('umoci', args, { timeoutMs: 600_000 })
    if (code !== 0) throw new Error(`umoci ${args.join(' ')}: ${stderr}`)
  })
  return {
    skopeoS: copy.seconds,
    umociS: unpack.seconds,
    restPauseMs: Math.max(copy.pauseMs, unpack.pauseMs),
  }
}

async function watched<T>(
  work: () => Promise<T>,
): Promise<{ readonly value: T; readonly seconds: number; readonly pauseMs: number }> {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const start = performance.now()
  const value = await work()
  const seconds = (performance.now() - start) / 1000
  delay.disable()
  return { value, seconds, pauseMs: delay.max / 1e6 }
}

/** Gzipped layers with the digests of their tars. */
async function layersOf({ megabytes, smallFiles }: Sizes) {
  const bytes = megabytes * 1e6
  const line = Buffer.from('the quick brown fox jumps over the lazy dog, 0123456789 times\n')
  const text = Buffer.alloc(bytes)
  // Words and numbers: compresses to about a fifth.
  for (let at = 0; at < bytes; at += 128) {
    line.copy(text, at)
    if (at + 128 <= bytes) text.write(randomBytes(24).toString('base64'), at + 64, 'latin1')
  }
  const small = Array.from({ length: smallFiles }, (_, i) => ({
    name: `usr/lib/part-${i % 200}/file-${i}.js`,
    text: text.subarray(i * 100, i * 100 + 500 + ((i * 7919) % 7500)),
  }))
  const tars = [
    await tarOf([{ name: 'opt/random', text: randomBytes(bytes) }]),
    await tarOf([{ name: 'opt/text', text }]),
    await tarOf(small),
  ]
  return tars.map((tar) => ({ bytes: gzipSync(tar, { level: 1 }), diffId: digestOf(tar) }))
}

const digestOf = (bytes: Uint8Array) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

/** An OCI layout with one image. */
async function writeImage(
  folder: string,
  layers: readonly { readonly bytes: Buffer; readonly diffId: string }[],
): Promise<void> {
  const blobs = join(folder, 'blobs', 'sha256')
  await mkdir(blobs, { recursive: true })
  const put = async (mediaType: string, bytes: Buffer) => {
    const digest = digestOf(bytes)
    await writeFile(join(blobs, digest.slice(7)), bytes)
    return { mediaType: `application/vnd.oci.image.${mediaType}`, digest, size: bytes.length }
  }
  const json = (value: unknown) => Buffer.from(JSON.stringify(value))
  const config = await put(
    'config.v1+json',
    json({
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
      os: 'linux',
      config: { Cmd: ['/opt/text'] },
      rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    }),
  )
  const described = []
  for (const { bytes } of layers) described.push(await put('layer.v1.tar+gzip', bytes))
  const mediaType = 'application/vnd.oci.image.manifest.v1+json'
  const manifest = await put(
    'manifest.v1+json',
    json({ schemaVersion: 2, mediaType, config, layers: described }),
  )
  await writeFile(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
  await writeFile(join(folder, 'index.json'), json({ schemaVersion: 2, manifests: [manifest] }))
}
