/**
 * Manifests that speak about others (image-spec 1.1 `subject`: SBOMs, provenance, signatures), found by what they speak
 * about. One small file a pair, beside the blobs and derived from them: whoever stores such a manifest notes it here, and
 * whoever asks gets what is really there. A referrer lives as long as its subject does.
 */
import { createHash, randomUUID } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ContentStore, Descriptor } from './content-store.ts'
import { readDocument } from './manifest.ts'

/** An entry of the referrers API (distribution-spec 1.1, "Listing Referrers"). */
export interface Referrer extends Descriptor {
  /** The manifest's own `artifactType`, else the media type of its config. */
  readonly artifactType?: string
  readonly annotations?: Readonly<Record<string, string>>
}

/** How many of one subject are kept: anybody who may push may add some. */
const maxReferrers = 1000

const folderOf = (store: ContentStore, subject: string): string => {
  if (!/^sha256:[a-f0-9]{64}$/.test(subject)) throw new Error(`"${subject}" is no sha256 digest`)
  return join(store.directory, 'referrers', subject.slice(7))
}

/**
 * Stores a manifest or index with a `subject` and notes what it is about; its config and layers must be there before. The
 * subject itself may come later. Throws an Error when it has no subject, or when it is no manifest.
 */
export async function putReferrer(store: ContentStore, manifest: Uint8Array): Promise<Referrer> {
  const { mediaType, subject, artifactType, annotations } = readDocument(manifest)
  if (!subject) throw new Error('the manifest has no subject, so it refers to nothing')
  const referrer: Referrer = {
    ...(await store.put(mediaType, manifest)),
    ...(artifactType !== undefined && { artifactType }),
    ...(annotations && { annotations }),
  }
  await noteReferrer(store, subject.digest, referrer.digest)
  return referrer
}

/** Notes that a stored manifest speaks about `subject`. Throws an Error when too many do already. */
export async function noteReferrer(
  store: ContentStore,
  subject: string,
  digest: string,
): Promise<void> {
  const folder = folderOf(store, subject)
  await mkdir(folder, { recursive: true, mode: 0o755 })
  const name = digest.slice(7)
  const there = await readdir(folder)
  if (there.includes(name)) return
  if (there.length >= maxReferrers)
    throw new Error(`${subject} has ${there.length} referrers already; at most that many are kept`)
  const temporary = join(store.directory, 'incoming', randomUUID())
  await writeFile(temporary, '')
  await rename(temporary, join(folder, name))
}

/** Forgets one; what it is about stays. */
export async function forgetReferrer(
  store: ContentStore,
  subject: string,
  digest: string,
): Promise<void> {
  await rm(join(folderOf(store, subject), digest.slice(7)), { force: true })
}

/** Digests of what speaks about `subject` and is in the store, sorted. */
export async function referrerDigests(
  store: ContentStore,
  subject: string,
): Promise<readonly string[]> {
  const names = await readdir(folderOf(store, subject)).catch(() => [])
  const found: string[] = []
  for (const name of names.sort((a, b) => (a < b ? -1 : 1))) {
    const digest = `sha256:${name}`
    if (/^[a-f0-9]{64}$/.test(name) && (await store.has(digest))) found.push(digest)
  }
  return found
}

/** What speaks about the manifest `subject`, perhaps only that of one `artifactType`; sorted by digest. */
export async function referrersOf(
  store: ContentStore,
  subject: string,
  artifactType?: string,
): Promise<readonly Referrer[]> {
  const found: Referrer[] = []
  for (const digest of await referrerDigests(store, subject)) {
    const bytes = await readFile(store.blobPath(digest)).catch(() => undefined)
    if (!bytes || `sha256:${createHash('sha256').update(bytes).digest('hex')}` !== digest) continue
    const document = readDocument(bytes)
    if (artifactType !== undefined && document.artifactType !== artifactType) continue
    found.push({
      mediaType: document.mediaType,
      digest,
      size: bytes.length,
      ...(document.artifactType !== undefined && { artifactType: document.artifactType }),
      ...(document.annotations && { annotations: document.annotations }),
    })
  }
  return found
}
