/**
 * The server inside images of static folders: answers GET and HEAD for the files it was told of and for nothing else, so
 * no path leads anywhere else. Validators, ranges and methods follow RFC 9110. It imports nothing but Node, as it goes
 * into images by itself.
 */
import { createReadStream } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { join } from 'node:path'

/** A file of the site: what it holds never changes while it is served. */
export interface SiteFile {
  readonly sizeBytes: number
  /** Part of its SHA-256. */
  readonly hash: string
  readonly type: string
}

export interface Site {
  /** Folder the files lie in. */
  readonly root: string
  /** By path without a leading slash: `docs/index.html`. */
  readonly files: Readonly<Record<string, SiteFile>>
  /** Paths that are no file get index.html, for programs that read the path in the browser. */
  readonly spa: boolean
}

/**
 * Listens on `port` of all addresses; on SIGTERM and SIGINT open requests end before the process does.
 *
 * @public called by the images' server.mjs
 */
export function serveSite(site: Site, port: number): Server {
  const server = createServer((request, response) => answer(site, request, response))
  server.listen(port)
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.once(signal, () => {
      server.close(() => process.exit(0))
      server.closeIdleConnections()
    })
  return server
}

/** One answer. */
export function answer(site: Site, request: IncomingMessage, response: ServerResponse): void {
  const { method = 'GET' } = request
  response.setHeader('x-content-type-options', 'nosniff')
  if (method !== 'GET' && method !== 'HEAD') {
    response.setHeader('allow', 'GET, HEAD')
    return plain(response, 405, 'Method Not Allowed', method)
  }
  const [rawPath = '/', query] = (request.url ?? '/').split(/\?(.*)/s)
  const path = decoded(rawPath)
  if (path === undefined) return plain(response, 400, 'Bad Request', method)
  const found = lookUp(site, path)
  if (found === 'folder') {
    // Relative links of a page are relative to its folder. One slash, lest it leads to another host.
    const location = `/${rawPath.replace(/^\/+/, '')}/${query === undefined ? '' : `?${query}`}`
    response.setHeader('location', location)
    return plain(response, 301, 'Moved Permanently', method)
  }
  if (found !== undefined) return send(site, found, 200, request, response)
  if (site.spa && has(site, 'index.html') && !/\.[A-Za-z0-9]{1,8}$/.test(path))
    return send(site, 'index.html', 200, request, response)
  if (has(site, '404.html')) return send(site, '404.html', 404, request, response)
  plain(response, 404, 'Not Found', method)
}

const has = ({ files }: Site, name: string): boolean => Object.hasOwn(files, name)

/** Undefined when it is no path. */
function decoded(path: string): string | undefined {
  try {
    return decodeURIComponent(path).replace(/^\/+/, '')
  } catch {
    return undefined
  }
}

/** The file that a path means; `folder` when it means one but for a slash at its end. */
function lookUp(site: Site, path: string): string | undefined {
  if (path === '' || path.endsWith('/'))
    return has(site, `${path}index.html`) ? `${path}index.html` : undefined
  if (has(site, path)) return path
  if (has(site, `${path}.html`)) return `${path}.html`
  return has(site, `${path}/index.html`) ? 'folder' : undefined
}

function send(
  site: Site,
  name: string,
  status: number,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const file = site.files[name]
  if (!file) return
  const { method = 'GET', headers } = request
  const etag = `"${file.hash}"`
  response.setHeader('etag', etag)
  response.setHeader('cache-control', 'public, max-age=0, must-revalidate')
  if (status === 200) {
    if (matches(headers['if-none-match'], etag)) {
      response.writeHead(304).end()
      return
    }
    if (headers['if-match'] !== undefined && !matches(headers['if-match'], etag))
      return plain(response, 412, 'Precondition Failed', method)
    response.setHeader('accept-ranges', 'bytes')
  }
  const ifRange = headers['if-range']
  const wanted =
    status === 200 && method === 'GET' && (ifRange === undefined || ifRange === etag)
      ? rangeOf(headers.range, file.sizeBytes)
      : undefined
  if (wanted === 'none') {
    response.setHeader('content-range', `bytes */${file.sizeBytes}`)
    return plain(response, 416, 'Range Not Satisfiable', method)
  }
  const { start, end } = wanted ?? { start: 0, end: file.sizeBytes - 1 }
  if (wanted) response.setHeader('content-range', `bytes ${start}-${end}/${file.sizeBytes}`)
  response.writeHead(wanted ? 206 : status, {
    'content-type': file.type,
    'content-length': end - start + 1,
  })
  if (method === 'HEAD' || file.sizeBytes === 0) {
    response.end()
    return
  }
  const stream = createReadStream(join(site.root, name), { start, end })
  stream.on('error', () => response.destroy())
  response.on('close', () => stream.destroy())
  stream.pipe(response)
}

/** Strong and weak tags compare alike here, as If-None-Match wants it. */
function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false
  if (header.trim() === '*') return true
  return header.split(',').some((item) => item.trim().replace(/^W\//, '') === etag)
}

/** One range in bytes; undefined = all of it (also for several ranges, which may be ignored); `none` = there is no such part. */
function rangeOf(
  header: string | undefined,
  sizeBytes: number,
): { readonly start: number; readonly end: number } | 'none' | undefined {
  const [, from = '', to = ''] = /^bytes=\s*(\d*)-(\d*)\s*$/.exec(header ?? '') ?? []
  if (from === '' && to === '') return undefined
  const last = sizeBytes - 1
  const start = from === '' ? Math.max(0, sizeBytes - Number(to)) : Number(from)
  const end = from === '' || to === '' ? last : Math.min(Number(to), last)
  if (from !== '' && to !== '' && Number(to) < Number(from)) return undefined // no range at all
  return start > last || (from === '' && Number(to) === 0) ? 'none' : { start, end }
}

function plain(response: ServerResponse, status: number, text: string, method: string): void {
  const body = `${text}\n`
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(body),
  })
  response.end(method === 'HEAD' ? undefined : body)
}
