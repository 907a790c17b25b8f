/**
 * The request log: a line for each finished request, by a Go template of the user's over
 * `.Request`, `.Response`, `.Revision` and `.TraceID`. Off by default; the gateway writes it to its own output.
 */
import type { RequestHead } from '../../../lib/http1/head.ts'
import {
  compileTemplate,
  type Template,
  type TemplateStruct,
  type TemplateValue,
} from '../../../knative/template.ts'
import type { RevisionTarget } from '../feed.ts'

/** What is known of a request whose response has gone out. */
export interface LoggedRequest {
  readonly head: RequestHead
  /** `1.0`, `1.1`, `2`. */
  readonly version: string
  readonly secure: boolean
  /** `address:port` of the client. */
  readonly remoteAddress: string
  readonly status: number
  readonly responseBytes: number
  readonly seconds: number
  readonly target: RevisionTarget
  /** '' when no pod was reached. */
  readonly podName: string
  readonly podIP: string
  /** The traceparent the pod got, '' = none. */
  readonly traceparent: string
}

/** Takes a finished line, newline included. */
export type WriteLine = (line: string) => void

export class RequestLog {
  readonly #template: Template
  readonly #write: WriteLine

  /** Throws when `text` is no template. */
  constructor(text: string, write: WriteLine) {
    this.#template = compileTemplate('requestLog', text)
    this.#write = write
  }

  log(request: LoggedRequest): void {
    this.#write(`${this.#line(request)}\n`)
  }

  #line(request: LoggedRequest): string {
    try {
      return this.#template.execute(context(request))
    } catch {
      const { head, status, seconds } = request
      return `Invalid request log template: method: ${head.method}, response code: ${status}, latency: ${seconds}, url: ${head.target}`
    }
  }
}

function context(request: LoggedRequest): TemplateStruct {
  const { head, target } = request
  const headers = headerMap(head)
  const first = (name: string): string => firstOf(headers, name)
  const [namespace = '', name = ''] = target.key.split('/')
  const path = head.target.split('?')[0] ?? ''
  const chunked = head.chunked
  return {
    Request: {
      Method: head.method,
      RequestURI: head.target,
      Host: head.host,
      Proto: request.version === '2' ? 'HTTP/2.0' : `HTTP/${request.version}`,
      ProtoMajor: request.version === '2' ? 2 : 1,
      ProtoMinor: request.version === '1.1' ? 1 : 0,
      ContentLength: chunked ? -1 : Math.max(0, head.contentLength),
      RemoteAddr: request.remoteAddress,
      UserAgent: () => first('User-Agent'),
      Referer: () => first('Referer'),
      Header: headers,
      TLS: request.secure ? { ServerName: head.host } : undefined,
      URL: {
        Path: path,
        RawQuery: head.target.slice(path.length + 1),
        Host: '',
        Scheme: '',
        String: () => head.target,
      },
    },
    Response: {
      Code: request.status,
      Size: request.responseBytes,
      Latency: request.seconds,
    },
    Revision: {
      Name: name,
      Namespace: namespace,
      Service: target.service,
      Configuration: target.configuration,
      PodName: request.podName,
      PodIP: request.podIP,
    },
    TraceID: request.traceparent.split('-')[1] ?? (first('X-B3-Traceid') || ''),
  }
}

/** Go's http.Header: canonical names to lists of values, with its methods Get and Values. */
function headerMap(head: RequestHead): ReadonlyMap<string, TemplateValue> {
  const lists = new Map<string, string[]>()
  for (const [at, name] of head.names.entries()) {
    const canonical = canonicalName(name)
    const values = lists.get(canonical)
    const value = head.values[at] ?? ''
    if (values) values.push(value)
    else lists.set(canonical, [value])
  }
  const map = new Map<string, TemplateValue>(lists)
  const named = (name: TemplateValue): readonly string[] =>
    (typeof name === 'string' && lists.get(canonicalName(name))) || []
  map.set('Get', (name) => named(name)[0] ?? '')
  map.set('Values', named)
  return map
}

function firstOf(headers: ReadonlyMap<string, TemplateValue>, name: string): string {
  const values = headers.get(name)
  return Array.isArray(values) ? String(values[0] ?? '') : ''
}

/** As Go's textproto writes them: `x-request-id` is `X-Request-Id`. */
const canonicalName = (name: string): string =>
  name.toLowerCase().replace(/(^|-)[a-z]/g, (start) => start.toUpperCase())
