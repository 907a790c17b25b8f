/**
 * Manifests of the embedded registry (distribution-spec 1.1: pulling, pushing and deleting manifests, listing referrers).
 * What a repository shows is what its names lead to: the store below is one for all repositories.
 */
import { createHash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import type { Clock } from '../lib/clock.ts'
import { blobsOf } from '../image/collection.ts'
import type { ContentStore } from '../image/content-store.ts'
import {
  indexTypes,
  maxManifestBytes,
  readDocument,
  type ManifestDocument,
} from '../image/manifest.ts'
import { forgetReferrer, noteReferrer, referrerDigests, referrersOf } from '../image/referrers.ts'
import { answer, answerJson, Refusal } from './answers.ts'
import {
  aliases,
  assertDigest,
  isDigest,
  isKnownToClient,
  nameOf,
  namesOf,
  type Call,
} from './call.ts'

const [indexType] = indexTypes

export async function getManifest(
  call: Call,
  reference: string,
  store: ContentStore,
): Promise<void> {
  const { response, request } = call
  const { digest, bytes, document } = await find(call, reference, store)
  const etag = `"${digest}"`
  const headers = { 'docker-content-digest': digest, etag }
  if (isKnownToClient(call, etag)) return answer(response, 304, headers)
  const all = { ...headers, 'content-type': document.mediaType }
  if (request.method === 'HEAD') {
    response.writeHead(200, { ...all, 'content-length': bytes.length })
    response.end()
  } else answer(response, 200, all, bytes)
}

interface Found {
  readonly digest: string
  readonly bytes: Buffer
  readonly document: ManifestDocument
}

/** Throws Refusal when the repository has none. */
async function find(call: Call, reference: string, store: ContentStore): Promise<Found> {
  const name = nameOf(call, reference)
  const digest = isDigest(reference) ? reference : await store.find(name)
  const unknown = (why: string) => new Refusal(404, 'MANIFEST_UNKNOWN', `${name} ${why}`)
  if (digest === undefined || !(await store.has(digest))) throw unknown('is not here')
  // Any blob may be asked for as a manifest: only what is one is read.
  const { size } = await stat(store.blobPath(digest))
  if (size > maxManifestBytes) throw unknown('is no manifest')
  const bytes = await store.read(digest)
  let document: ManifestDocument
  try {
    document = readDocument(bytes)
  } catch {
    throw unknown('is no manifest')
  }
  if (isDigest(reference) && !(await isShown(call, digest, store))) throw unknown('is not here')
  return { digest, bytes, document }
}

/** Whether some name of the repository leads to the manifest. */
async function isShown(call: Call, digest: string, store: ContentStore): Promise<boolean> {
  const names = await namesOf(call, store)
  if (names.some((name) => name.digest === digest)) return true
  const seen = new Set<string>()
  for (const name of names) if ((await blobsOf(store, name.digest, seen)).has(digest)) return true
  return false
}

export async function putManifest(
  call: Call,
  reference: string,
  { store, clock }: { readonly store: ContentStore; readonly clock: Clock },
): Promise<void> {
  const { request, response, registry, repository } = call
  nameOf(call, reference) // throws for what is no tag
  const bytes = await body(request, maxManifestBytes)
  let document: ManifestDocument
  try {
    document = readDocument(bytes, request.headers['content-type'])
  } catch (error) {
    throw new Refusal(400, 'MANIFEST_INVALID', error instanceof Error ? error.message : '')
  }
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
  if (isDigest(reference) && reference !== digest)
    throw new Refusal(400, 'DIGEST_INVALID', `the manifest has the digest ${digest}`)
  for (const blob of document.needs)
    if (!(await store.claim(blob.digest)))
      throw new Refusal(400, 'MANIFEST_BLOB_UNKNOWN', `${blob.digest} was not pushed before`)
  const { subject } = document
  await store.put('', bytes)
  if (subject) await noted(store, subject.digest, digest)
  // What speaks about an image that is here is kept by it, and needs no name of its own.
  const isKept = subject !== undefined && (await isShown(call, subject.digest, store))
  if (!isKept || !isDigest(reference)) {
    const keeps = [
      ...(document.kind === 'index' ? document.needs.map((entry) => entry.digest) : []),
      ...(await referrerDigests(store, digest)),
    ]
    for (const alias of aliases(registry)) {
      await store.tag(nameOf({ ...call, registry: alias }, reference), digest, clock.now())
      // From now on this one keeps them.
      for (const kept of keeps) await store.untag(`${alias}/${repository}@${kept}`)
    }
  }
  answer(response, 201, {
    location: `/v2/${repository}/manifests/${digest}`,
    'docker-content-digest': digest,
    ...(subject && { 'oci-subject': subject.digest }),
  })
}

async function noted(store: ContentStore, subject: string, digest: string): Promise<void> {
  try {
    await noteReferrer(store, subject, digest)
  } catch (error) {
    const { message, code } = Object(error) as { readonly message?: string; readonly code?: string }
    if (code !== undefined) throw error // the disk's
    throw new Refusal(429, 'TOOMANYREQUESTS', message ?? '')
  }
}

/** By tag, that tag; by digest, every name of the manifest in this repository, and what it says about others. */
export async function deleteManifest(
  call: Call,
  reference: string,
  store: ContentStore,
): Promise<void> {
  const { registry, response } = call
  if (!isDigest(reference)) {
    let removed = 0
    for (const alias of aliases(registry))
      if (await store.untag(nameOf({ ...call, registry: alias }, reference))) removed++
    if (removed === 0) throw new Refusal(404, 'MANIFEST_UNKNOWN', `${reference} is not here`)
    return answer(response, 202)
  }
  const { document } = await find(call, reference, store)
  for (const name of await namesOf(call, store))
    if (name.digest === reference) await store.untag(name.reference)
  if (document.subject) await forgetReferrer(store, document.subject.digest, reference)
  if (await isShown(call, reference, store))
    throw new Refusal(405, 'UNSUPPORTED', `${reference} belongs to an index that is still here`)
  answer(response, 202)
}

/** What speaks about a manifest, as an index; empty when nothing does, or when there is no such manifest. */
export async function getReferrers(
  call: Call,
  subject: string,
  store: ContentStore,
): Promise<void> {
  assertDigest(subject)
  const artifactType = call.query.get('artifactType') ?? undefined
  const manifests = await referrersOf(store, subject, artifactType)
  answerJson(
    call.response,
    200,
    { schemaVersion: 2, mediaType: indexType, manifests },
    {
      'content-type': indexType,
      ...(artifactType !== undefined && { 'oci-filters-applied': 'artifactType' }),
    },
  )
}

async function body(request: IncomingMessage, limitBytes: number): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of request) {
    if (!(chunk instanceof Uint8Array)) continue
    size += chunk.length
    if (size > limitBytes)
      throw new Refusal(413, 'SIZE_INVALID', `a manifest has at most ${limitBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
