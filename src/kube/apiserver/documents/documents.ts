/** Everything at the API's address that is no resource: discovery, OpenAPI, version. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { KindDefinition } from '../../api/kind.ts'
import { send } from '../http/answers.ts'
import { createDiscovery } from './discovery.ts'
import { createOpenApi } from './openapi.ts'
import type { OpenApi, OpenApiDocument } from './openapi.ts'

const yearMs = 365 * 24 * 3600 * 1000

/** The Kubernetes whose API this is: clients compare it with their own version. */
const version = {
  major: '1',
  minor: '32',
  gitVersion: 'v1.32.13+ebb',
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '2026-01-01T00:00:00Z',
  goVersion: 'go1.23.0',
  compiler: 'gc',
  platform: `${process.platform}/${process.arch === 'x64' ? 'amd64' : process.arch}`,
}

const roots = [
  '/.well-known/openid-configuration',
  '/api',
  '/api/v1',
  '/apis',
  '/healthz',
  '/livez',
  '/metrics',
  '/openapi/v2',
  '/openapi/v3',
  '/openid/v1/jwks',
  '/readyz',
  '/version',
]

export interface Documents {
  /** Answers a GET for a document; false when there is none at the path. */
  send(request: IncomingMessage, response: ServerResponse, url: URL): boolean
}

/** Nothing is computed before it is asked for; it is kept until the kinds are others. */
export function createDocuments(
  kinds: () => readonly KindDefinition[],
  nowMs: () => number,
): Documents {
  const discovery = renewed(kinds, (now) => createDiscovery(now))
  const openApi = renewed(kinds, (now, before: OpenApi | undefined) => createOpenApi(now, before))

  function sendDiscovery(request: IncomingMessage, response: ServerResponse, path: string) {
    const address = request.headers.host ?? ''
    const document = discovery().document(path, request.headers.accept, address)
    if (!document) return false
    response.setHeader('ETag', document.etag)
    response.setHeader('Vary', 'Accept')
    response.setHeader('Cache-Control', 'public')
    if (request.headers['if-none-match'] === document.etag) notModified(response)
    else send(response, 200, document.contentType, document.body)
    return true
  }

  function sendGroupVersion(response: ServerResponse, url: URL): boolean {
    const document = openApi().groupVersion(url.pathname.slice('/openapi/v3/'.length))
    if (!document) return false
    const asked = url.searchParams.get('hash')
    if (asked !== null && asked !== document.hash) {
      response.setHeader('Location', `${url.pathname}?hash=${document.hash}`)
      send(response, 301, 'text/plain; charset=utf-8', '')
      return true
    }
    if (asked !== null) {
      response.setHeader('Cache-Control', 'public, immutable')
      response.setHeader('Expires', new Date(nowMs() + yearMs).toUTCString())
    }
    return sendOpenApi(response, document)
  }

  return {
    send(request, response, url) {
      const path = url.pathname.length > 1 ? url.pathname.replace(/\/$/, '') : url.pathname
      if (
        path === '/api' ||
        path === '/apis' ||
        path.startsWith('/api/') ||
        path.startsWith('/apis/')
      )
        return sendDiscovery(request, response, path)
      if (path === '/openapi/v3') return sendOpenApi(response, openApi().index())
      if (path === '/openapi/v2') return sendOpenApi(response, openApi().v2(request.headers.accept))
      if (path.startsWith('/openapi/v3/')) return sendGroupVersion(response, url)
      if (path === '/version') return sendJson(response, version)
      if (path === '/') return sendJson(response, { paths: roots })
      return false
    },
  }
}

/** What is made of the kinds, made again when they are not the same array any more. */
function renewed<T>(
  kinds: () => readonly KindDefinition[],
  make: (kinds: readonly KindDefinition[], before: T | undefined) => T,
): () => T {
  let made: { readonly of: readonly KindDefinition[]; readonly value: T } | undefined
  return () => {
    const now = kinds()
    if (made?.of !== now) made = { of: now, value: make(now, made?.value) }
    return made.value
  }
}

function sendOpenApi(response: ServerResponse, document: OpenApiDocument): true {
  const etag = `"${document.hash}"`
  response.setHeader('ETag', etag)
  if (response.req.headers['if-none-match'] === etag) notModified(response)
  else send(response, 200, document.contentType, document.body)
  return true
}

function notModified(response: ServerResponse): void {
  response.statusCode = 304
  response.end()
}

function sendJson(response: ServerResponse, body: unknown): true {
  send(response, 200, 'application/json', JSON.stringify(body, undefined, 2))
  return true
}
