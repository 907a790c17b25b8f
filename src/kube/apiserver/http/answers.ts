/** Answers as text: objects, lists, tables, partial metadata, Status errors, with the headers that go with them. */
import type { ServerResponse } from 'node:http'
import type { KindDefinition } from '../../api/kind.ts'
import type { KubeObject } from '../../api/meta.ts'
import type { ObjectList } from '../../api/protocol.ts'
import type { StatusError } from '../../api/status-error.ts'
import { withManagedFields } from '../apply/tracking.ts'
import type { Representation } from './media-types.ts'
import { partialMetadata, toTable } from '../documents/table.ts'
import type { IncludeObject } from '../documents/table.ts'
import { isRecord, without } from '../values.ts'

export interface AnswerOptions {
  readonly kind: KindDefinition
  readonly representation: Representation
  readonly includeObject: IncludeObject
  readonly nowMs: number
}

/** One stored object or list in the form that was asked for. Status objects pass through. */
export function transformed(body: unknown, options: AnswerOptions): unknown {
  const { representation, kind, nowMs, includeObject } = options
  const { as, version } = representation
  if (!isRecord(body) || body['kind'] === 'Status') return body
  const spell = (object: KubeObject): KubeObject =>
    withManagedFields(kind, object, versionOf(object.apiVersion))
  if (isList(body, kind)) {
    if (as === 'Table')
      return toTable(kind, body.items, {
        nowMs,
        includeObject,
        version,
        listMetadata: body.metadata,
      })
    if (as === 'PartialObjectMetadata')
      return {
        kind: 'PartialObjectMetadataList',
        apiVersion: `meta.k8s.io/${version}`,
        metadata: body.metadata,
        items: body.items.map((item) => partialMetadata(spell(item), version)),
      }
    return { ...body, items: body.items.map(spell) }
  }
  if (!isObject(body)) return body
  if (as === 'Table') return toTable(kind, [body], { nowMs, includeObject, version })
  if (as === 'PartialObjectMetadata') return partialMetadata(spell(body), version)
  return spell(body)
}

/** The JSON of one item of a list, as `toJson` writes it. */
export function itemText(item: KubeObject, options: AnswerOptions): string {
  const shown = transformed(item, options)
  const typed = options.representation.as !== 'object' || options.kind.flavour !== 'builtin'
  return JSON.stringify(typed || !isRecord(shown) ? shown : without(shown, 'apiVersion', 'kind'))
}

const versionOf = (apiVersion: string): string => apiVersion.slice(apiVersion.indexOf('/') + 1)

export const isList = (body: unknown, kind: KindDefinition): body is ObjectList =>
  isRecord(body) && body['kind'] === `${kind.kind}List` && Array.isArray(body['items'])

const isObject = (body: unknown): body is KubeObject =>
  isRecord(body) && isRecord(body['metadata']) && typeof body['kind'] === 'string'

/** JSON of an answer. The items of a built-in kind's list say neither apiVersion nor kind (typed lists). */
export function toJson(body: unknown, kind: KindDefinition | undefined, indent: boolean): string {
  if (kind?.flavour === 'builtin' && isList(body, kind)) {
    const items = body.items.map((item) => without(item, 'apiVersion', 'kind'))
    return JSON.stringify({ ...body, items }, undefined, indent ? 2 : undefined)
  }
  return JSON.stringify(body, undefined, indent ? 2 : undefined)
}

/** YAML of an answer, as `application/yaml` asks for. */
export async function toYaml(body: unknown): Promise<string> {
  const { stringify } = await import('yaml')
  return stringify(body, { version: '1.1', aliasDuplicateObjects: false, lineWidth: 0 })
}

/** `299 - "text"`, one header a warning. Control characters would end the header. */
export function addWarnings(response: ServerResponse, warnings: readonly string[] = []): void {
  for (const warning of warnings) {
    const text = printable(warning).replaceAll(/[\\"]/g, '\\$&')
    response.appendHeader('Warning', `299 - "${text}"`)
  }
}

/** Header values are Latin-1 without control characters. */
function printable(text: string): string {
  let line = ''
  for (const char of text.slice(0, 1000)) {
    const code = char.codePointAt(0) ?? 0
    line += code < 0x20 || code === 0x7f ? ' ' : code > 0x7e ? '?' : char
  }
  return line
}

/** Sends text with its length. HEAD gets the headers alone. */
export function send(
  response: ServerResponse,
  code: number,
  contentType: string,
  body: string,
): void {
  const bytes = Buffer.from(body)
  response.statusCode = code
  response.setHeader('Content-Type', contentType)
  response.setHeader('Content-Length', bytes.length)
  response.end(response.req.method === 'HEAD' ? undefined : bytes)
}

/** Sends a refusal as Status, with Retry-After where waiting helps. */
export function sendError(response: ServerResponse, error: StatusError): void {
  const { retryAfterSeconds } = error.details
  if (retryAfterSeconds !== undefined) response.setHeader('Retry-After', retryAfterSeconds)
  else if (error.code === 429) response.setHeader('Retry-After', 1)
  send(response, error.code, 'application/json', `${JSON.stringify(error.toStatus())}\n`)
}

/** True when the answer is for human eyes: asked for, or a browser or curl calls. */
export function wantsIndent(pretty: string | null, userAgent = ''): boolean {
  if (pretty !== null) return pretty !== 'false' && pretty !== '0'
  return /^(curl|Wget|Mozilla\/5\.0)/.test(userAgent)
}
