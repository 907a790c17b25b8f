/** `ebb image`: what is in the image store of a data directory, and how it gets in and out. */
import { createReadStream, createWriteStream, existsSync } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { systemClock } from '../lib/clock.ts'
import type { ContentStore } from '../image/content-store.ts'
import { dataDirOf, layoutOf } from '../platform/config.ts'
import { UsageError, type Arguments, type Command, type Output } from './command.ts'

type Verb = (store: ContentStore, args: Arguments, out: Output) => Promise<number>

export const image: Command = {
  name: 'image',
  usage: 'list | inspect NAME | pull NAME | prune | import FILE | export NAME FILE',
  summary:
    'Images of this machine: list, inspect, pull, prune, import from and export to a tar file',
  details:
    'pull brings an image from its registry, by the rules of the running platform: mirrors, keys, limits.\n' +
    'inspect shows what speaks about the image, too: SBOMs, provenance, signatures.\n' +
    'import reads OCI layouts and what `docker save` writes, perhaps gzipped; export writes both in one file.\n' +
    'FILE may be - for stdin and stdout. prune removes images from registries that nothing runs or may start again;\n' +
    'with --all also those that were built or imported here.',
  flags: {
    tag: { type: 'string', value: 'REF', description: 'import: name of the image' },
    all: { type: 'boolean', description: 'prune: also what was built or imported here' },
    'older-than': {
      type: 'string',
      value: 'HOURS',
      default: '0',
      description: 'prune: only what was last used so many hours ago',
    },
    registries: {
      type: 'string',
      value: 'FILE',
      description: 'pull: mirrors and credentials, in the form of k3s (registries.yaml)',
    },
    offline: { type: 'boolean', description: 'pull: ask no registry' },
    'dry-run': { type: 'boolean', description: 'prune: only say what would go' },
  },
  positionals: [1, 3],
  async run(args, out) {
    const [verb = ''] = args.positionals
    const found = verbs[verb]
    if (!found) throw new UsageError(`expected ${Object.keys(verbs).join(', ')}; found "${verb}"`)
    const wanted = operands[verb] ?? 0
    if (args.positionals.length !== wanted + 1)
      throw new UsageError(
        `${verb} takes ${wanted} argument(s), found ${args.positionals.length - 1}`,
      )
    const { openContentStore } = await import('../image/content-store.ts')
    return await found(await openContentStore(dataDirOf(args.string('data-dir'))), args, out)
  },
}

const operands: Readonly<Record<string, number>> = { inspect: 1, pull: 1, import: 1, export: 2 }

const verbs: Readonly<Record<string, Verb>> = {
  async list(store, _args, out) {
    const { storedImages } = await import('../image/collection.ts')
    const sizes = await sizesOf(store)
    const rows = (await storedImages(store)).flatMap((item) =>
      item.names.map((name) => [
        name,
        item.digest.slice(7, 19),
        sizeText(sum(item.blobs, sizes)),
        item.pulled ? 'registry' : 'here',
        ageText(systemClock.now() - item.lastUsedMs),
      ]),
    )
    for (const row of columns([
      ['NAME', 'DIGEST', 'SIZE', 'FROM', 'LAST USED'],
      ...rows.sort(([a = ''], [b = '']) => (a < b ? -1 : 1)),
    ]))
      out.print(row)
    return 0
  },

  async inspect(store, args, out) {
    const { name, digest } = await findImage(store, args.positionals[1] ?? '')
    const { readManifest } = await import('../image/manifest.ts')
    const { digest: manifest, configDigest, layers, config } = await readManifest(store, digest)
    const stored: unknown = JSON.parse((await store.read(configDigest)).toString('utf8'))
    const { architecture, os, created } = Object(stored) as Readonly<Record<string, unknown>>
    const value = { name, digest, manifest, config: configDigest, os, architecture, created }
    const referrers = await referrersOfAny(store, [...new Set([digest, manifest])])
    out.print(JSON.stringify({ ...value, ...config, layers, referrers }, null, 2))
    return 0
  },

  async pull(store, args, out) {
    const { pullImage } = await import('./image-pull.ts')
    return await pullImage(store, args, out)
  },

  async prune(store, args, out) {
    const hours = Number(args.string('older-than'))
    if (!(hours >= 0)) throw new UsageError('--older-than: expected a number of hours')
    const { planCollection, storedImages, sweep } = await import('../image/collection.ts')
    const { usedImages } = await import('../platform/images/used-images.ts')
    const used = usedImages(await referencesOf(args))
    const images = await storedImages(store)
    const sizes = await sizesOf(store)
    const goes = planCollection(
      args.boolean('all') ? images.map((item) => ({ ...item, pulled: true })) : images,
      sizes,
      used.has,
      { wantedBytes: Number.POSITIVE_INFINITY, minAgeMs: hours * 3_600_000, maxAgeMs: 0 },
      systemClock.now(),
    )
    for (const item of goes) for (const name of item.names) out.print(name)
    if (args.boolean('dry-run')) return 0
    for (const item of goes) for (const name of item.names) await store.untag(name)
    const kept = images.filter((item) => used.has(item)).map(({ digest }) => digest)
    const freed = await sweep(store, {
      nowMs: systemClock.now(),
      inUse: new Set([...used.digests, ...kept]),
      gone: new Set(goes.flatMap(({ blobs }) => blobs)),
    })
    out.note(`ebb image prune: ${goes.length} image(s), ${sizeText(freed)} freed`)
    return 0
  },

  async import(store, args, out) {
    const [, file = ''] = args.positionals
    const { importArchive } = await import('../image/archive.ts')
    const input = file === '-' ? process.stdin : createReadStream(file)
    const imported = await importArchive(store, input, {
      nowMs: systemClock.now(),
      tag: args.string('tag'),
    })
    for (const { reference, digest } of imported) out.print(`${reference}@${digest}`)
    return 0
  },

  async export(store, args, out) {
    const [, wanted = '', file = ''] = args.positionals
    const { name, digest } = await findImage(store, wanted)
    const { exportArchive } = await import('../image/archive.ts')
    const archive = exportArchive(store, name, digest)
    if (file === '-') {
      await pipeline(archive, process.stdout, { end: false })
      return 0
    }
    // All of it or nothing.
    const temporary = `${file}.${process.pid}.part`
    try {
      await pipeline(archive, createWriteStream(temporary))
      await rename(temporary, file)
    } finally {
      await rm(temporary, { force: true })
    }
    out.print(file)
    return 0
  },
}

/** Throws an Error that says what there is. */
async function findImage(
  store: ContentStore,
  wanted: string,
): Promise<{ readonly name: string; readonly digest: string }> {
  const { normalizeReference, parseReference } = await import('../image/reference.ts')
  const name = normalizeReference(wanted)
  const { digest } = parseReference(wanted)
  const found = digest !== undefined && (await store.has(digest)) ? digest : await store.find(name)
  if (found === undefined)
    throw new Error(`${name} is not in ${store.directory}; \`ebb image list\` shows what is`)
  return { name, digest: found }
}

/** What speaks about an index, and about the image in it for this machine. */
async function referrersOfAny(store: ContentStore, subjects: readonly string[]) {
  const { referrersOf } = await import('../image/referrers.ts')
  const found = subjects.map(async (subject) =>
    (await referrersOf(store, subject)).map((referrer) => ({ ...referrer, subject })),
  )
  return (await Promise.all(found)).flat()
}

/** What the platform of the data directory runs or may start again; nothing when none was ever started there. */
async function referencesOf(args: Arguments) {
  const layout = layoutOf(dataDirOf(args.string('data-dir')))
  if (!existsSync(layout.controlSocket)) return { pods: [], images: [] }
  const { clientOf } = await import('./api-client.ts')
  const { Pod } = await import('../kube/api/pod.ts')
  const { Image } = await import('../serving/api/image.ts')
  await using connection = await clientOf(layout.kubeconfig)
  try {
    const pods = await connection.client.list(Pod, '')
    const images = await connection.client.list(Image, '').catch(() => ({ items: [] }))
    return { pods: pods.items, images: images.items }
  } catch (error) {
    throw new Error(
      `the platform of this directory does not say what it runs, so nothing is removed: ${String(error)}`,
      { cause: error },
    )
  }
}

const sizesOf = async (store: ContentStore): Promise<ReadonlyMap<string, number>> =>
  new Map((await store.blobs()).map(({ digest, size }) => [digest, size]))

const sum = (blobs: readonly string[], sizes: ReadonlyMap<string, number>): number =>
  blobs.reduce((total, blob) => total + (sizes.get(blob) ?? 0), 0)

function sizeText(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let value = bytes
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${unit === 0 ? value : value.toPrecision(3)} ${units[unit]}`
}

function ageText(ms: number): string {
  const minutes = Math.max(0, Math.floor(ms / 60_000))
  if (minutes < 60) return `${minutes}m`
  const hours = Math.floor(minutes / 60)
  return hours < 48 ? `${hours}h` : `${Math.floor(hours / 24)}d`
}

function columns(rows: readonly (readonly string[])[]): readonly string[] {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)))
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('   ')
      .trimEnd(),
  )
}
