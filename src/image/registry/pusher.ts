/**
 * Brings an image of the content store into a registry (distribution-spec 1.1: pushing blobs and manifests, mounting blobs,
 * pushing manifests with subject), and with it what speaks about it. What the registry has is not sent; an upload that
 * breaks goes on where the registry says it stands.
 */
import { createReadStream } from 'node:fs'
import { sleep, type Clock } from '../../lib/clock.ts'
import type { Registries } from '../../lib/registries.ts'
import { createSemaphore } from '../../lib/semaphore.ts'
import { storedImages } from '../collection.ts'
import type { ContentStore, Descriptor } from '../content-store.ts'
import { indexTypes, readDocument, readManifest } from '../manifest.ts'
import { parseReference, referenceText, type Reference } from '../reference.ts'
import { referrersOf, type Referrer } from '../referrers.ts'
import { accessKeyring } from './access-keys.ts'
import { createAuthorizer, type Authorizer } from './authorization.ts'
import { pauseAfter } from './blob-download.ts'
import { firstOf, type Credential, type Keyring } from './credentials.ts'
import { accessOf, endpointsOf, type Endpoint } from './endpoints.ts'
import {
  createHttpClient,
  readBody,
  type HttpAnswer,
  type HttpClient,
  type HttpRequest,
} from './http.ts'
import { isCertificateProblem, printable, refusalText, RegistryError } from './registry-error.ts'

export interface PushOptions {
  readonly store: ContentStore
  readonly clock: Clock
  readonly registries: Registries
  readonly keys: Keyring
  readonly proxy?: Readonly<Record<string, string | undefined>>
  readonly stallMs?: number
  /** What is done, a line each. */
  readonly say?: (line: string) => void
}

export interface Pushed {
  /** `ghcr.io/me/app@sha256:…`. */
  readonly reference: string
  /** Of the manifest that the name means now. */
  readonly digest: string
  /** Blobs that were sent, that lay in another repository of the registry, and that were there. */
  readonly blobs: { readonly sent: number; readonly mounted: number; readonly present: number }
  readonly sentBytes: number
  /** SBOMs, provenance and the like that went with it. */
  readonly referrers: number
}

const parallel = 3
const maxAttempts = 5
const maxAnswerBytes = 4 << 20

/** Pushes the image with this manifest or index under a name. Rejects with RegistryError, or with an Error when something of it is missing. */
export async function pushImage(
  reference: Reference,
  digest: string,
  options: PushOptions,
): Promise<Pushed> {
  const { store, clock, registries, say = () => {} } = options
  const endpoint = pushEndpoint(reference, registries)
  using http = createHttpClient({ ...options, accessOf: (host) => accessOf(host, registries) })
  const authorizer = createAuthorizer({ http, clock })
  const origin = await reachableOrigin(endpoint, http)
  const ring = firstOf(accessKeyring(registries), options.keys)
  const found = await ring.find(endpoint.host, endpoint.repository)
  let failure: unknown
  for (const credential of found.length > 0 ? found : [undefined]) {
    const place = { origin, repository: endpoint.repository, credential }
    try {
      const call = caller(http, authorizer, place)
      return await push(reference, digest, { store, clock, say, endpoint, call })
    } catch (error) {
      if (!(error instanceof RegistryError)) throw error
      failure = error
      if (error.problem !== 'denied') break
    }
  }
  throw pushError(reference, endpoint, failure)
}

/** The registry itself, by the address that the configuration gives for it. Throws RegistryError. */
function pushEndpoint(reference: Reference, registries: Registries): Endpoint {
  const own = endpointsOf(reference, registries).filter(
    ({ host, repository }) => host === reference.registry && repository === reference.repository,
  )
  const [first] = own
  if (!first)
    throw new RegistryError(
      'invalid',
      registries.offline
        ? `${referenceText(reference)}: offline mode asks no registry`
        : `${referenceText(reference)} is a name of this machine alone; give one with a registry: --push ghcr.io/me/app`,
    )
  return { ...first, origins: [...new Set(own.flatMap(({ origins }) => origins))] }
}

async function reachableOrigin(endpoint: Endpoint, http: HttpClient): Promise<string> {
  let failure: unknown
  for (const origin of endpoint.origins) {
    try {
      const answer = await http.send({ method: 'GET', url: `${origin}/v2/`, headers: {} })
      answer.discard()
      return origin
    } catch (error) {
      failure = error
      if (isCertificateProblem(Object(error).cause)) break
    }
  }
  throw failure
}

interface Place {
  readonly origin: string
  readonly repository: string
  readonly credential: Credential | undefined
}

interface Caller {
  readonly origin: string
  readonly repository: string
  /** `path` below the repository, or a whole URL. */
  send(
    method: HttpRequest['method'],
    path: string,
    rest?: Partial<Pick<HttpRequest, 'headers' | 'content'>>,
  ): Promise<HttpAnswer>
}

function caller(http: HttpClient, authorizer: Authorizer, place: Place): Caller {
  const { origin, repository } = place
  return {
    origin,
    repository,
    async send(method, path, { headers = {}, content } = {}) {
      const url = /^https?:/.test(path) ? path : `${origin}/v2/${repository}/${path}`
      const isOwn = new URL(url).origin === origin
      const once = (authorization: string | undefined) =>
        http.send({
          method,
          url,
          headers: {
            ...headers,
            ...(isOwn && authorization !== undefined && { authorization }),
            ...(!content && method !== 'GET' && method !== 'HEAD' && { 'content-length': '0' }),
          },
          ...(content && { content }),
        })
      const answer = await once(authorizer.known(place))
      if (answer.status !== 401 || !isOwn) return answer
      answer.discard()
      return await once(await authorizer.answer(place, answer.headers['www-authenticate']))
    },
  }
}

interface Work {
  readonly store: ContentStore
  readonly clock: Clock
  readonly say: (line: string) => void
  readonly endpoint: Endpoint
  readonly call: Caller
}

async function push(reference: Reference, digest: string, work: Work): Promise<Pushed> {
  const { store, say } = work
  const wanted = await wholeImage(store, digest)
  const counts = { sent: 0, mounted: 0, present: 0 }
  let sentBytes = 0
  const blobs = new Map<string, Descriptor>()
  /** In the order in which they are put: what others speak of first. */
  const manifests: string[] = []
  const collect = async (manifest: string): Promise<void> => {
    const document = readDocument(await store.read(manifest))
    if (document.kind === 'index') for (const child of document.needs) await collect(child.digest)
    else for (const blob of document.needs) blobs.set(blob.digest, blob)
    if (!manifests.includes(manifest)) manifests.push(manifest)
  }
  await collect(wanted)
  const about: { readonly subject: string; readonly referrer: Referrer }[] = []
  for (const subject of manifests.slice())
    for (const referrer of await referrersOf(store, subject)) {
      about.push({ subject, referrer })
      for (const blob of readDocument(await store.read(referrer.digest)).needs)
        blobs.set(blob.digest, blob)
    }
  const elsewhere = await otherRepositories(store, reference)
  const uploads = createSemaphore(() => parallel)
  await Promise.all(
    [...blobs.values()].map((blob) =>
      uploads.run(async () => {
        const how = await pushBlob(work, blob, elsewhere.get(blob.digest))
        counts[how]++
        if (how === 'sent') sentBytes += blob.size
        say(`${blob.digest.slice(0, 19)}  ${how === 'present' ? 'is there' : how}`)
      }),
    ),
  )
  for (const manifest of manifests)
    await putManifest(
      work,
      manifest === wanted && reference.tag !== undefined ? reference.tag : manifest,
      await store.read(manifest),
    )
  for (const { subject, referrer } of about) {
    const answered = await putManifest(work, referrer.digest, await store.read(referrer.digest))
    // A registry that knows of subjects says so; others list them under a tag of that form.
    if (answered['oci-subject'] === undefined) await listUnderTag(work, subject, referrer)
  }
  const { tag: _, digest: _digest, ...name } = reference
  return {
    reference: `${name.registry}/${name.repository}@${wanted}`,
    digest: wanted,
    blobs: counts,
    sentBytes,
    referrers: about.length,
  }
}

/** The manifest itself; of an index that is not whole here, the image for this machine. */
async function wholeImage(store: ContentStore, digest: string): Promise<string> {
  const document = readDocument(await store.read(digest))
  if (document.kind !== 'index') return digest
  for (const child of document.needs)
    if (!(await store.has(child.digest))) return (await readManifest(store, digest)).digest
  return digest
}

/** Repositories of the same registry that have a blob, as the store knows from pulls and pushes: one a blob. */
async function otherRepositories(
  store: ContentStore,
  { registry, repository }: Reference,
): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>()
  for (const { names, blobs } of await storedImages(store))
    for (const name of names) {
      const other = parseReference(name)
      if (other.registry !== registry || other.repository === repository) continue
      for (const blob of blobs) found.set(blob, other.repository)
    }
  return found
}

async function pushBlob(
  work: Work,
  blob: Descriptor,
  from: string | undefined,
): Promise<'sent' | 'mounted' | 'present'> {
  const { call } = work
  const there = await call.send('HEAD', `blobs/${blob.digest}`)
  await drain(there)
  if (there.status === 200) return 'present'
  const query = new URLSearchParams(from === undefined ? {} : { mount: blob.digest, from })
  let location: string | undefined
  for (let failures = 1; ; failures++) {
    try {
      if (location === undefined) {
        const begun = await call.send(
          'POST',
          `blobs/uploads/${from === undefined ? '' : `?${query.toString()}`}`,
        )
        if (begun.status === 201) {
          await drain(begun)
          return 'mounted'
        }
        location = await nextPlace(call, begun, 202)
        location = await upload(work, location, blob, 0)
      } else {
        const { place, offset } = await standing(call, location)
        location = await upload(work, place, blob, offset)
      }
      const end = new URL(location)
      end.searchParams.set('digest', blob.digest)
      const done = await call.send('PUT', end.href)
      if (done.status !== 201) throw await refused(done, `blob ${blob.digest}`)
      await drain(done)
      return 'sent'
    } catch (error) {
      // An upload that the registry does not know any more begins anew.
      const isForgotten =
        location !== undefined && error instanceof RegistryError && error.problem === 'missing'
      if (isForgotten) location = undefined
      const pauseMs = isForgotten ? 0 : pauseAfter(error, failures)
      if (pauseMs === undefined || failures >= maxAttempts) throw error
      await sleep(work.clock, pauseMs)
    }
  }
}

/** Sends what is left of a blob; answers where its upload ends. */
async function upload(
  { store, call }: Work,
  place: string,
  { digest, size }: Descriptor,
  offset: number,
): Promise<string> {
  if (offset >= size && size > 0) return place
  const answer = await call.send('PATCH', place, {
    headers: {
      'content-type': 'application/octet-stream',
      // distribution's own registry takes it as a chunk that has to fit.
      ...(offset > 0 && { 'content-range': `${offset}-${size - 1}` }),
    },
    content: {
      sizeBytes: size - offset,
      open: () =>
        createReadStream(store.blobPath(digest), {
          start: offset,
          highWaterMark: 256 << 10,
        }) as AsyncIterable<Uint8Array>,
    },
  })
  return await nextPlace(call, answer, 202)
}

/** How far an upload came. Throws RegistryError `missing` when it is not known any more. */
async function standing(
  call: Caller,
  location: string,
): Promise<{ readonly place: string; readonly offset: number }> {
  const answer = await call.send('GET', location)
  if (answer.status !== 204) throw await refused(answer, 'state of an upload')
  answer.discard()
  const last = /^(?:bytes=)?0-(\d+)$/.exec(answer.headers.range ?? '')?.[1]
  const offset = last === undefined || last === '0' ? 0 : Number(last) + 1
  const next = answer.headers.location
  return { place: next === undefined ? location : new URL(next, location).href, offset }
}

async function nextPlace(call: Caller, answer: HttpAnswer, expected: number): Promise<string> {
  if (answer.status !== expected) throw await refused(answer, 'upload of a blob')
  await drain(answer)
  const { location } = answer.headers
  const url = location === undefined ? null : URL.parse(location, `${call.origin}/v2/`)
  if (!url || !/^https?:$/.test(url.protocol))
    throw new RegistryError('invalid', `${answer.host} does not say where to upload`)
  // Some registries behind a proxy forget that they were asked by https.
  if (url.protocol === 'http:' && call.origin === `https://${url.host}`) url.protocol = 'https:'
  return url.href
}

async function putManifest(
  { call }: Work,
  name: string,
  bytes: Uint8Array,
): Promise<HttpAnswer['headers']> {
  const { mediaType } = readDocument(bytes)
  const answer = await call.send('PUT', `manifests/${name}`, {
    headers: { 'content-type': mediaType },
    content: {
      sizeBytes: bytes.length,
      async *open() {
        yield bytes
      },
    },
  })
  if (answer.status !== 201) throw await refused(answer, `manifest ${name}`)
  await drain(answer)
  return answer.headers
}

/** Lists a referrer in the index under the tag that stands in for the referrers API (distribution-spec, "Referrers Tag Schema"). */
async function listUnderTag(work: Work, subject: string, referrer: Referrer): Promise<void> {
  const { call } = work
  const tag = subject.replace(':', '-')
  const [indexType] = indexTypes
  const answer = await call.send('GET', `manifests/${tag}`, { headers: { accept: indexType } })
  let entries: readonly Readonly<Record<string, unknown>>[] = []
  if (answer.status === 200) {
    const text = (await readBody(answer, maxAnswerBytes)).toString('utf8')
    const { manifests } = Object(JSON.parse(text)) as { readonly manifests?: unknown }
    entries = Array.isArray(manifests) ? (manifests as typeof entries) : []
  } else if (answer.status === 404) answer.discard()
  else throw await refused(answer, `list of what speaks about ${subject}`)
  const { digest, artifactType, annotations } = referrer
  const isReplaced = (entry: Readonly<Record<string, unknown>>) =>
    entry['digest'] === digest ||
    // What an earlier build attached to the very same image.
    (annotations?.['dev.ebb.build'] !== undefined &&
      entry['artifactType'] === artifactType &&
      (Object(entry['annotations']) as Readonly<Record<string, unknown>>)['dev.ebb.build'] !==
        undefined)
  const index = {
    schemaVersion: 2,
    mediaType: indexType,
    manifests: [...entries.filter((entry) => !isReplaced(entry)), referrer],
  }
  await putManifest(work, tag, Buffer.from(JSON.stringify(index)))
}

/** Reads what nobody needs, so that the connection can serve again. */
const drain = (answer: HttpAnswer): Promise<unknown> =>
  readBody(answer, maxAnswerBytes).catch(() => {})

async function refused(answer: HttpAnswer, what: string): Promise<RegistryError> {
  const { status, host } = answer
  let said = ''
  try {
    said = refusalText((await readBody(answer, maxAnswerBytes)).toString('utf8'))
  } catch {
    // What it says beside the status is a courtesy.
  }
  const text = `${host} answered ${status} for the ${what}${said && ` (${printable(said)})`}`
  if (status === 401 || status === 403) return new RegistryError('denied', text, { status })
  if (status === 404) return new RegistryError('missing', text, { status })
  if (status === 408 || status === 429 || status >= 500)
    return new RegistryError('busy', text, { status })
  return new RegistryError('invalid', text, { status })
}

function pushError(reference: Reference, { host }: Endpoint, failure: unknown): unknown {
  if (!(failure instanceof RegistryError)) return failure
  const advice =
    failure.problem === 'denied'
      ? `; log in with: docker login ${host}, and check that you may push there`
      : failure.problem === 'unreachable' && isCertificateProblem(failure.cause)
        ? `; say whom to trust in configs."${host}".tls of --registries FILE`
        : ''
  return new RegistryError(
    failure.problem,
    `${referenceText(reference)} was not pushed: ${failure.message}${advice}`,
    { cause: failure, ...(failure.status !== undefined && { status: failure.status }) },
  )
}
