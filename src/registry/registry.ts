/**
 * The registry that comes with the platform: OCI distribution 1.1, pull and push, on the very store that pods run from,
 * so that what was pushed needs no pull. Names are those that the client used: `localhost:5000/team/app:v1` is what a
 * pod calls it, too.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Clock } from '../lib/clock.ts'
import type { Log } from '../lib/log.ts'
import type { ContentStore } from '../image/content-store.ts'
import { InvalidReference, parseReference } from '../image/reference.ts'
import { answerJson, refuse, Refusal } from './answers.ts'
import { getBlob, upload } from './blobs.ts'
import type { Call } from './call.ts'
import { catalog, tags } from './listings.ts'
import { deleteManifest, getManifest, getReferrers, putManifest } from './manifests.ts'
import { createUploads } from './uploads.ts'

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
    // Repositories may have these words in their names: the last one counts.
    const [, repository = '', kind = '', rest = ''] =
      /^(.+)\/(manifests|blobs|tags|referrers)\/(uploads\/?[^/]*|[^/]*)$/.exec(path) ?? []
    // Throws for what is no name.
    parseReference(`${registry}/${repository}`)
    const call: Call = { ...common, repository }
    const verb = `${request.method} ${kind}`
    if (kind === 'tags' && rest === 'list' && request.method === 'GET')
      return await tags(call, store)
    if (verb === 'GET referrers') return await getReferrers(call, rest, store)
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
