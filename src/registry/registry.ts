/**
 * The registry that comes with the platform: OCI distribution 1.1, pull and push, on the very store that pods run from,
 * so that what was pushed needs no pull. Names are those that the client used: `localhost:5000/team/app:v1` is what a
 * pod calls it, too.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pipeline } from 'node:stream/promises'
import type { Clock } from '../lib/clock.ts'
import type { Log } from '../lib/log.ts'
import type { ContentStore } from '../image/content-store.ts'
import { manifestTypes, maxManifestBytes, parseManifest } from '../image/manifest.ts'
import { isLoopback } from '../image/registry/endpoints.ts'
import { InvalidReference, normalizeReference, parseReference } from '../image/reference.ts'
import { answer, answerJson, refuse, Refusal } from './answers.ts'
import { createUploads, type Upload, type Uploads } from './uploads.ts'

export interface RegistryOptions {
  readonly store: ContentStore
  readonly clock: Clock
  readonly log: Log
  readonly host: string
  /** 0 = any free one. */
  readonly port: number
  readonly username: string
  readonly password: string
}

export interface EmbeddedRegistry extends AsyncDisposable {
  readonly port: number
}

const digestPattern = /^sha256:[a-f0-9]{64}$/
const maxPage = 1000
const [ociManifest] = manifestTypes

interface Call {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** Host as the client called it: part of the names it gives. */
  readonly registry: string
  readonly repository: string
  readonly query: URLSearchParams
}

/** Resolves when it listens. */
export async function startRegistry(options: RegistryOptions): Promise<EmbeddedRegistry> {
  const { store, clock, log, host, port } = options
  const uploads = createUploads(store, clock)
  const expected = secretHash(`${options.username}:${options.password}`)
  const server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => {
      const refusal =
        error instanceof Refusal
          ? error
          : error instanceof InvalidReference
            ? new Refusal(400, 'NAME_INVALID', error.message)
            : undefined
      if (!refusal && !request.destroyed) log.error('registry request failed', { error })
      if (response.headersSent) return response.destroy()
      // A body that nobody reads any more must not be taken for the next request.
      if (!request.complete) response.setHeader('connection', 'close')
      const challenge = refusal?.status === 401 ? { 'www-authenticate': 'Basic realm="ebb"' } : {}
      refuse(response, refusal ?? new Refusal(500, 'UNKNOWN', 'the registry has failed'), challenge)
      return undefined
    })
  })
  // A slow push is no attack on a loopback port; silence of five minutes is an end.
  server.requestTimeout = 0
  server.timeout = 300_000

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader('docker-distribution-api-version', 'registry/2.0')
    const url = URL.parse(request.url ?? '', 'http://registry')
    if (!url?.pathname.startsWith('/v2'))
      throw new Refusal(404, 'UNSUPPORTED', 'this is a registry: its API is below /v2/')
    if (!isKnown(request.headers.authorization, expected))
      throw new Refusal(401, 'UNAUTHORIZED', 'a user and password are needed; run docker login')
    const path = url.pathname.slice('/v2/'.length)
    if (path === '' || path === '/') return answerJson(response, 200, {})
    const registry = (request.headers.host ?? '').toLowerCase()
    const common = { request, response, registry, query: url.searchParams }
    if (path === '_catalog') return await catalog({ ...common, repository: '' }, store)
    const [, repository = '', kind = '', rest = ''] =
      /^(.+?)\/(manifests|blobs|tags|referrers)\/(.*)$/.exec(path) ?? []
    // Throws for what is no name.
    parseReference(`${registry}/${repository}`)
    const call: Call = { ...common, repository }
    const verb = `${request.method} ${kind}`
    if (kind === 'tags' && rest === 'list' && request.method === 'GET')
      return await tags(call, store)
    if (kind === 'manifests') {
      if (verb === 'PUT manifests') return await putManifest(call, rest, options)
      if (verb === 'DELETE manifests') return await deleteManifest(call, rest, store)
      if (request.method === 'GET' || request.method === 'HEAD')
        return await getManifest(call, rest, store)
    }
    if (kind === 'blobs') {
      const [, id] = /^uploads\/(.*)$/.exec(rest) ?? []
      if (id !== undefined) return await upload(call, id, uploads, store)
      if (request.method === 'GET' || request.method === 'HEAD')
        return await getBlob(call, rest, store)
    }
    throw new Refusal(
      kind === '' ? 404 : 405,
      'UNSUPPORTED',
      `${request.method} ${url.pathname} is not served here`,
    )
  }

  await listen(server, host, port)
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
      await uploads[Symbol.asyncDispose]()
    },
  }
}

const listen = (server: Server, host: string, port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })

const secretHash = (text: string): Buffer => createHash('sha256').update(text).digest()

function isKnown(header: string | undefined, expected: Buffer): boolean {
  const [, base64 = ''] = /^basic ([\w+/=-]+)$/i.exec(header ?? '') ?? []
  return timingSafeEqual(secretHash(Buffer.from(base64, 'base64').toString('utf8')), expected)
}

function nameOf({ registry, repository }: Call, reference: string): string {
  const separator = digestPattern.test(reference) ? '@' : ':'
  return normalizeReference(`${registry}/${repository}${separator}${reference}`)
}

/** This machine has two names, and who pushes by one may deploy by the other. */
function aliases(registry: string): readonly string[] {
  if (!isLoopback(registry)) return [registry]
  const port = /:\d+$/.exec(registry)?.[0] ?? ''
  return [...new Set([registry, `localhost${port}`, `127.0.0.1${port}`])]
}

async function getManifest(call: Call, reference: string, store: ContentStore): Promise<void> {
  const { response, request } = call
  const name = nameOf(call, reference)
  const digest = digestPattern.test(reference) ? reference : await store.find(name)
  if (digest === undefined || !(await store.has(digest)))
    throw new Refusal(404, 'MANIFEST_UNKNOWN', `${name} is not here`)
  const bytes = await readSmall(store, digest)
  const mediaType = manifestTypeOf(bytes)
  const headers = {
    'content-type': mediaType,
    'docker-content-digest': digest,
    etag: `"${digest}"`,
  }
  if (request.method === 'HEAD') {
    response.writeHead(200, { ...headers, 'content-length': bytes.length })
    response.end()
  } else answer(response, 200, headers, bytes)
}

/** Any blob may be asked for as a manifest: only what is one is read. */
async function readSmall(store: ContentStore, digest: string): Promise<Buffer> {
  const { size } = await stat(store.blobPath(digest))
  if (size > maxManifestBytes) throw new Refusal(404, 'MANIFEST_UNKNOWN', 'it is no manifest')
  return await store.read(digest)
}

function manifestTypeOf(bytes: Buffer): string {
  try {
    const manifest = parseManifest(bytes)
    const value: unknown = JSON.parse(bytes.toString('utf8'))
    const { mediaType } = Object(value) as { readonly mediaType?: unknown }
    if (typeof mediaType === 'string') return mediaType
    return manifest.kind === 'image' ? ociManifest : 'application/vnd.oci.image.index.v1+json'
  } catch {
    throw new Refusal(404, 'MANIFEST_UNKNOWN', 'it is no manifest')
  }
}

async function putManifest(
  call: Call,
  reference: string,
  { store, clock }: RegistryOptions,
): Promise<void> {
  const { request, response, registry, repository } = call
  nameOf(call, reference) // throws for what is no tag
  const bytes = await body(request, maxManifestBytes)
  let manifest
  try {
    manifest = parseManifest(bytes, request.headers['content-type'])
  } catch (error) {
    throw new Refusal(400, 'MANIFEST_INVALID', error instanceof Error ? error.message : '')
  }
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
  if (digestPattern.test(reference) && reference !== digest)
    throw new Refusal(400, 'DIGEST_INVALID', `the manifest has the digest ${digest}`)
  const needed =
    manifest.kind === 'image' ? [manifest.config, ...manifest.layers] : manifest.manifests
  for (const blob of needed)
    if (!(await store.claim(blob.digest)))
      throw new Refusal(400, 'MANIFEST_BLOB_UNKNOWN', `${blob.digest} was not pushed before`)
  await store.put('', bytes)
  for (const alias of aliases(registry)) {
    await store.tag(nameOf({ ...call, registry: alias }, reference), digest, clock.now())
    // From now on the index keeps them.
    if (manifest.kind === 'index')
      for (const entry of manifest.manifests)
        await store.untag(`${alias}/${repository}@${entry.digest}`)
  }
  answer(response, 201, {
    location: `/v2/${repository}/manifests/${digest}`,
    'docker-content-digest': digest,
  })
}

async function deleteManifest(call: Call, reference: string, store: ContentStore): Promise<void> {
  const { registry, repository, response } = call
  const names = digestPattern.test(reference)
    ? (await store.list())
        .filter(({ digest }) => digest === reference)
        .map((tag) => tag.reference)
        .filter((name) => {
          const found = parseReference(name)
          return aliases(registry).includes(found.registry) && found.repository === repository
        })
    : aliases(registry).map((alias) => nameOf({ ...call, registry: alias }, reference))
  let removed = 0
  for (const name of names) if (await store.untag(name)) removed++
  if (removed === 0) throw new Refusal(404, 'MANIFEST_UNKNOWN', `${reference} is not here`)
  answer(response, 202)
}

async function getBlob(call: Call, digest: string, store: ContentStore): Promise<void> {
  const { request, response } = call
  if (!digestPattern.test(digest))
    throw new Refusal(400, 'DIGEST_INVALID', `"${digest}" is no sha256 digest`)
  const path = store.blobPath(digest)
  const info = await stat(path).catch(() => undefined)
  if (!info) throw new Refusal(404, 'BLOB_UNKNOWN', `${digest} is not here`)
  const headers = {
    'content-type': 'application/octet-stream',
    'docker-content-digest': digest,
    'accept-ranges': 'bytes',
    etag: `"${digest}"`,
  }
  const [, first = '', last = ''] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? []
  const start = first === '' ? 0 : Number(first)
  const end = last === '' ? info.size - 1 : Math.min(Number(last), info.size - 1)
  if (first !== '' && (start >= info.size || start > end)) {
    answer(response, 416, { 'content-range': `bytes */${info.size}` })
    return
  }
  response.writeHead(first === '' ? 200 : 206, {
    ...headers,
    'content-length': end - start + 1,
    ...(first !== '' && { 'content-range': `bytes ${start}-${end}/${info.size}` }),
  })
  if (request.method === 'HEAD' || info.size === 0) response.end()
  else await pipeline(createReadStream(path, { start, end }), response)
}

async function upload(
  call: Call,
  id: string,
  uploads: Uploads,
  store: ContentStore,
): Promise<void> {
  const { request, response, repository, query } = call
  const digest = query.get('digest') ?? undefined
  if (digest !== undefined && !digestPattern.test(digest))
    throw new Refusal(400, 'DIGEST_INVALID', `"${digest}" is no sha256 digest`)
  const where = ({ id: name, size }: Upload) => ({
    location: `/v2/${repository}/blobs/uploads/${name}`,
    'docker-upload-uuid': name,
    range: `0-${Math.max(0, size - 1)}`,
  })
  const stored = (blob: string) =>
    answer(response, 201, {
      location: `/v2/${repository}/blobs/${blob}`,
      'docker-content-digest': blob,
    })
  if (request.method === 'POST' && id === '') {
    const mount = query.get('mount') ?? ''
    if (digestPattern.test(mount) && (await store.claim(mount))) return stored(mount)
    const begun = await uploads.begin(repository)
    if (digest === undefined) return answer(response, 202, where(begun))
    await uploads.append(begun, request)
    await uploads.finish(begun, digest)
    return stored(digest)
  }
  const found = uploads.find(repository, id)
  switch (request.method) {
    case 'GET':
      return answer(response, 204, where(found))
    case 'PATCH':
      assertInOrder(request, found)
      await uploads.append(found, request)
      return answer(response, 202, where(found))
    case 'PUT':
      if (digest === undefined)
        throw new Refusal(400, 'DIGEST_INVALID', 'an upload ends with ?digest=sha256:…')
      assertInOrder(request, found)
      await uploads.append(found, request)
      await uploads.finish(found, digest)
      return stored(digest)
    case 'DELETE':
      await uploads.cancel(found)
      return answer(response, 204)
    default:
      throw new Refusal(405, 'UNSUPPORTED', `${request.method} does nothing to an upload`)
  }
}

function assertInOrder({ headers }: IncomingMessage, { size }: Upload): void {
  const range = headers['content-range']
  if (range === undefined) return
  const first = /^(?:bytes[ =])?(\d+)-\d+$/.exec(range)?.[1]
  if (first === undefined || Number(first) !== size)
    throw new Refusal(416, 'BLOB_UPLOAD_INVALID', `expected byte ${size} next, found "${range}"`)
}

async function tags(call: Call, store: ContentStore): Promise<void> {
  const { registry, repository } = call
  const found = (await store.list()).flatMap(({ reference }) => {
    const name = parseReference(reference)
    const ours = name.registry === registry && name.repository === repository
    return ours ? [name.tag ?? ''] : []
  })
  if (found.length === 0)
    throw new Refusal(404, 'NAME_UNKNOWN', `${registry}/${repository} has nothing here`)
  page(call, [...new Set(found)].filter((tag) => tag !== '').sort(), (list) => ({
    name: repository,
    tags: list,
  }))
}

async function catalog(call: Call, store: ContentStore): Promise<void> {
  const found = (await store.list()).flatMap(({ reference }) => {
    const name = parseReference(reference)
    return name.registry === call.registry ? [name.repository] : []
  })
  page(call, [...new Set(found)].sort(), (repositories) => ({ repositories }))
}

/** `?n=` and `?last=`, with a link to the rest. */
function page(
  { request, response, query }: Call,
  all: readonly string[],
  shape: (list: readonly string[]) => unknown,
): void {
  const last = query.get('last') ?? ''
  const wanted = query.get('n')
  if (wanted !== null && !/^\d{1,9}$/.test(wanted))
    throw new Refusal(400, 'UNSUPPORTED', `n: expected a number, found "${wanted}"`)
  const size = Math.min(wanted === null ? maxPage : Number(wanted), maxPage)
  const rest = all.filter((item) => item > last)
  const list = rest.slice(0, size)
  const path = (request.url ?? '').split('?')[0] ?? ''
  const next = `<${path}?n=${size}&last=${encodeURIComponent(list.at(-1) ?? '')}>; rel="next"`
  const more = list.length > 0 && list.length < rest.length
  answerJson(response, 200, shape(list), more ? { link: next } : {})
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
