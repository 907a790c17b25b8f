/**
 * Which images go when room is needed, and what goes with them. Follows the kubelet's image garbage collection
 * (pkg/kubelet/images/image_gc_manager.go): above a high threshold the longest unused go until below a low one. What was
 * made here is never taken by itself, as nobody could bring it back. Planning is pure.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir, readFile, rm, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { ContentStore, Tag } from './content-store.ts'
import { readDocument } from './manifest.ts'
import { referrerDigests } from './referrers.ts'
import { removeFolder } from './removal.ts'

/** All names of one manifest together. */
export interface StoredImage {
  readonly digest: string
  readonly names: readonly string[]
  /** True when every name came from a registry. */
  readonly pulled: boolean
  /** Blobs it needs: manifests, configs and layers, by digest. */
  readonly blobs: readonly string[]
  readonly lastUsedMs: number
}

export interface CollectionRules {
  /** Bytes to free, blobs alone. */
  readonly wantedBytes: number
  readonly minAgeMs: number
  /** 0 = age alone is no reason. */
  readonly maxAgeMs: number
}

/** Images to remove, the longest unused first. */
export function planCollection(
  images: readonly StoredImage[],
  sizes: ReadonlyMap<string, number>,
  isUsed: (image: StoredImage) => boolean,
  { wantedBytes, minAgeMs, maxAgeMs }: CollectionRules,
  nowMs: number,
): readonly StoredImage[] {
  const needed = new Map<string, number>()
  for (const { blobs } of images)
    for (const blob of blobs) needed.set(blob, (needed.get(blob) ?? 0) + 1)
  const candidates = images
    .filter(
      (image) =>
        image.pulled && !isUsed(image) && nowMs - image.lastUsedMs >= Math.max(minAgeMs, 0),
    )
    .toSorted((a, b) => a.lastUsedMs - b.lastUsedMs)
  const chosen: StoredImage[] = []
  let freed = 0
  for (const image of candidates) {
    const isOld = maxAgeMs > 0 && nowMs - image.lastUsedMs > maxAgeMs
    if (!isOld && freed >= wantedBytes) continue
    chosen.push(image)
    for (const blob of image.blobs) {
      const left = (needed.get(blob) ?? 1) - 1
      needed.set(blob, left)
      if (left === 0) freed += sizes.get(blob) ?? 0
    }
  }
  return chosen
}

/** Bytes to free so that neither the disk nor the store is above its threshold. Pure. */
export function bytesToFree(
  disk: { readonly totalBytes: number; readonly usedBytes: number },
  storeBytes: number,
  rules: { readonly highPercent: number; readonly lowPercent: number; readonly maxBytes: number },
): number {
  const high = (disk.totalBytes * rules.highPercent) / 100
  const low = (disk.totalBytes * rules.lowPercent) / 100
  const ofDisk = rules.highPercent < 100 && disk.usedBytes > high ? disk.usedBytes - low : 0
  const ofStore = storeBytes > rules.maxBytes ? storeBytes - rules.maxBytes * 0.8 : 0
  return Math.max(ofDisk, ofStore, 0)
}

/** How full the disk is that the store lies on. */
export async function diskOf(
  store: ContentStore,
): Promise<{ totalBytes: number; usedBytes: number }> {
  const { blocks, bavail, bsize } = await statfs(store.directory)
  return { totalBytes: blocks * bsize, usedBytes: (blocks - bavail) * bsize }
}

/**
 * What there is, with all that it needs. Damaged images have the blobs that could be found. An image was last used when
 * its manifest was last claimed.
 */
export async function storedImages(store: ContentStore): Promise<readonly StoredImage[]> {
  const byDigest = new Map<string, Tag[]>()
  for (const tag of await store.list()) {
    const tags = byDigest.get(tag.digest) ?? []
    tags.push(tag)
    byDigest.set(tag.digest, tags)
  }
  return await Promise.all(
    [...byDigest].map(async ([digest, tags]) => ({
      digest,
      names: tags.map(({ reference }) => reference),
      pulled: tags.every(({ pulled }) => pulled === true),
      blobs: [...(await blobsOf(store, digest))],
      lastUsedMs: Math.max(
        (await stat(store.blobPath(digest)).catch(() => undefined))?.mtimeMs ?? 0,
        ...tags.map(({ taggedAtMs }) => taggedAtMs),
      ),
    })),
  )
}

/** A manifest's or an index's blobs, itself and what refers to it included, as far as they are in the store. */
export async function blobsOf(
  store: ContentStore,
  digest: string,
  found = new Set<string>(),
): Promise<Set<string>> {
  if (found.has(digest) || !(await store.has(digest))) return found
  found.add(digest)
  try {
    const { kind, needs } = readDocument(await readFile(store.blobPath(digest)))
    if (kind === 'index') for (const entry of needs) await blobsOf(store, entry.digest, found)
    else for (const blob of needs) found.add(blob.digest)
  } catch {
    // Damaged: it keeps only itself.
  }
  for (const referrer of await referrerDigests(store, digest)) await blobsOf(store, referrer, found)
  return found
}

/** Young blobs may belong to an image that is just arriving. */
const arrivingMs = 600_000
/** What nobody has gone on with for so long will not be gone on with. */
const abandonedMs = 24 * 3_600_000

/**
 * Removes what no name needs: blobs, unpacked files of manifests, what broken downloads left. Answers the bytes of blobs
 * that were freed. May run beside pulls, builds and starts of other processes.
 */
export async function sweep(
  store: ContentStore,
  {
    nowMs,
    inUse,
    gone = new Set(),
  }: {
    readonly nowMs: number
    /** Manifests that are needed besides those with names. */
    readonly inUse: ReadonlySet<string>
    /** Blobs of images that were just removed: they are not arriving, however young they are. */
    readonly gone?: ReadonlySet<string>
  },
): Promise<number> {
  const needed = new Set<string>()
  for (const { digest } of await store.list()) await blobsOf(store, digest, needed)
  for (const digest of inUse) await blobsOf(store, digest, needed)
  let freed = 0
  for (const { digest, size, changedAtMs } of await store.blobs()) {
    if (needed.has(digest)) continue
    if (!gone.has(digest) && nowMs - changedAtMs < arrivingMs) continue
    await store.remove(digest)
    freed += size
  }
  await removeOld(join(store.directory, 'incoming'), nowMs, abandonedMs, () => true)
  for (const digest of gone) {
    if (needed.has(digest)) continue
    const folder = join(store.directory, 'rootfs', digest.slice(7))
    for (const path of [folder, `${folder}.compiled`]) await removeFolder(path)
  }
  await removeOld(
    join(store.directory, 'referrers'),
    nowMs,
    arrivingMs,
    (name) => !needed.has(`sha256:${name}`),
  )
  // A large image may take its time to be unpacked.
  await removeOld(
    join(store.directory, 'rootfs'),
    nowMs,
    6 * arrivingMs,
    (name) => name.startsWith('.') || !needed.has(`sha256:${name.slice(0, 64)}`),
  )
  return freed
}

/** Removes those of an image's blobs whose content is not what their digest says; answers how many are missing then. */
export async function removeDamaged(store: ContentStore, digest: string): Promise<number> {
  let missing = 0
  for (const blob of await blobsOf(store, digest)) {
    if (await isSound(store, blob)) continue
    await store.remove(blob)
    missing++
  }
  return missing
}

async function isSound(store: ContentStore, digest: string): Promise<boolean> {
  const hash = createHash('sha256')
  try {
    for await (const chunk of createReadStream(store.blobPath(digest)))
      hash.update(chunk as Uint8Array)
  } catch {
    return false
  }
  return `sha256:${hash.digest('hex')}` === digest
}

async function removeOld(
  folder: string,
  nowMs: number,
  ageMs: number,
  goes: (name: string) => boolean,
): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    if (!goes(name)) continue
    const path = join(folder, name)
    const info = await stat(path).catch(() => undefined)
    if (!info || nowMs - info.ctimeMs < ageMs) continue
    if (info.isDirectory()) await removeFolder(path)
    else await rm(path, { force: true })
  }
}
