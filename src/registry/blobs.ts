/**
 * Blobs of the embedded registry (distribution-spec 1.1: pulling and pushing blobs). They are the same for every
 * repository, as whoever may ask for one may ask for all.
 */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { pipeline } from 'node:stream/promises'
import type { ContentStore } from '../image/content-store.ts'
import { answer, Refusal } from './answers.ts'
import { assertDigest, isDigest, isKnownToClient, type Call } from './call.ts'
import type { Upload, Uploads } from './uploads.ts'

export async function getBlob(call: Call, digest: string, store: ContentStore): Promise<void> {
  const { request, response } = call
  assertDigest(digest)
  const path = store.blobPath(digest)
  const info = await stat(path).catch(() => undefined)
  if (!info) throw new Refusal(404, 'BLOB_UNKNOWN', `${digest} is not here`)
  const etag = `"${digest}"`
  const headers = {
    'content-type': 'application/octet-stream',
    'docker-content-digest': digest,
    'accept-ranges': 'bytes',
    etag,
  }
  if (isKnownToClient(call, etag)) return answer(response, 304, headers)
  const isHead = request.method === 'HEAD'
  const range = isHead ? undefined : rangeOf(request.headers.range, info.size)
  if (range === 'none') return answer(response, 416, { 'content-range': `bytes */${info.size}` })
  const { start, end } = range ?? { start: 0, end: info.size - 1 }
  response.writeHead(range ? 206 : 200, {
    ...headers,
    'content-length': end - start + 1,
    ...(range && { 'content-range': `bytes ${start}-${end}/${info.size}` }),
  })
  if (isHead || info.size === 0) response.end()
  else await pipeline(createReadStream(path, { start, end }), response)
}

/** One range of bytes (RFC 9110 14.1.2); 'none' = nothing of it is there; undefined = all. Several ranges read as all. */
export function rangeOf(
  header: string | undefined,
  size: number,
): { readonly start: number; readonly end: number } | 'none' | undefined {
  const [, first = '', last = ''] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '') ?? []
  if (first === '' && last === '') return undefined
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first)
  const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1)
  if (first !== '' && last !== '' && Number(last) < start) return undefined // no range at all
  return start > end ? 'none' : { start, end }
}

export async function upload(
  call: Call,
  id: string,
  uploads: Uploads,
  store: ContentStore,
): Promise<void> {
  const { request, response, repository, query } = call
  const digest = query.get('digest') ?? undefined
  if (digest !== undefined) assertDigest(digest)
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
    if (isDigest(mount) && (await store.claim(mount))) return stored(mount)
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
      assertInOrder(call, found, where(found))
      await uploads.append(found, request)
      return answer(response, 202, where(found))
    case 'PUT':
      if (digest === undefined)
        throw new Refusal(400, 'DIGEST_INVALID', 'an upload ends with ?digest=sha256:…')
      assertInOrder(call, found, where(found))
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

/** A chunk goes where the last one ended, and says its length truly. The refusal says where to go on. */
function assertInOrder(
  { request: { headers }, response }: Call,
  { size }: Upload,
  where: Readonly<Record<string, string>>,
): void {
  const range = headers['content-range']
  if (range === undefined) return
  const [, first, last] = /^(?:bytes[ =])?(\d{1,15})-(\d{1,15})(?:\/.*)?$/.exec(range) ?? []
  const isNext = first !== undefined && Number(first) === size
  if (isNext && hasLength(headers, Number(last) - size + 1)) return
  for (const [name, value] of Object.entries(where)) response.setHeader(name, value)
  throw new Refusal(
    416,
    'BLOB_UPLOAD_INVALID',
    isNext
      ? `a chunk ${range} has not ${headers['content-length']} bytes`
      : `expected byte ${size} next, found "${range.slice(0, 60)}"`,
  )
}

const hasLength = (headers: IncomingMessage['headers'], length: number): boolean =>
  headers['content-length'] === undefined || Number(headers['content-length']) === length
