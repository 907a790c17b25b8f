/** Request bodies: read within the limit, decoded from JSON, YAML or protobuf. */
import type { IncomingMessage } from 'node:http'
import type { Clock } from '../../../lib/clock.ts'
import type { PatchType } from '../../api/protocol.ts'
import { StatusError, badRequest } from '../../api/status-error.ts'
import { parseMediaType } from './media-types.ts'
import { decodeProtobuf, protobufMediaType } from '../protobuf.ts'
import { duplicateFields, nestsDeeper } from './strict-json.ts'

const bodyLimitBytes = 3 * 1024 * 1024
/** Far deeper than any real object; the schema walkers stop at 100 anyway. */
const depthLimit = 500

export interface Decoded {
  /** Undefined for an empty body. */
  readonly value: unknown
  readonly duplicates: readonly string[]
}

/** The whole body. Throws RequestEntityTooLarge over 3 MiB, as early as it is known. */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const announced = Number(request.headers['content-length'] ?? 0)
  if (announced > bodyLimitBytes) throw tooLarge()
  const chunks: Buffer[] = []
  let size = 0
  // The connection stays open when this ends early: the refusal still has to go out.
  const body: AsyncIterable<unknown> = request.iterator({ destroyOnReturn: false })
  for await (const chunk of body) {
    if (!Buffer.isBuffer(chunk)) continue
    size += chunk.length
    if (size > bodyLimitBytes) throw tooLarge()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** What a refused sender may still send before we stop listening. */
const discardLimitBytes = 64 * 1024 * 1024
const discardLimitMs = 5_000

/**
 * Reads the rest of a refused body to nowhere. Closing at once would reset the connection under a sender's hands, and
 * he would never see the answer.
 */
export function discardRest(request: IncomingMessage, clock: Clock): void {
  let size = 0
  const cut = () => void request.destroy()
  const cancel = clock.after(discardLimitMs, cut)
  request.on('data', (chunk: Buffer) => {
    size += chunk.length
    if (size > discardLimitBytes) cut()
  })
  request.once('close', cancel)
  request.resume()
}

const tooLarge = (): StatusError =>
  new StatusError('RequestEntityTooLarge', `Request entity too large: limit is ${bodyLimitBytes}`)

/** `expected` names the kind in the message for what can't be read. Throws BadRequest. */
export async function decodeBody(
  bytes: Buffer,
  contentType: string | undefined,
  expected: string,
): Promise<Decoded> {
  if (bytes.length === 0) return { value: undefined, duplicates: [] }
  const { type } = parseMediaType(contentType ?? '')
  if (type === protobufMediaType) return { value: decodeProtobuf(bytes), duplicates: [] }
  const text = bytes.toString('utf8')
  if (type === 'application/yaml' || type === 'application/apply-patch+yaml')
    return isJson(text) ? decodeJson(text, expected) : decodeYaml(text, expected)
  return decodeJson(text, expected)
}

/** kubectl says YAML and sends JSON, which is read in a tenth of the time. */
function isJson(text: string): boolean {
  if (!text.trimStart().startsWith('{') || nestsDeeper(text, depthLimit)) return false
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

function decodeJson(text: string, expected: string): Decoded {
  if (nestsDeeper(text, depthLimit)) throw badRequest('json: exceeded max depth')
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown)
    throw badRequest(
      `the object provided is unrecognized (must be of type ${expected}): couldn't get version/kind; json parse error: ${why} (${Buffer.from(text).subarray(0, 20).toString('hex')} ...)`,
    )
  }
  if (hugeNumber.test(text)) refuseInfinity(value)
  return { value, duplicates: duplicateFields(text) }
}

/** What may be a number too large for a double; rarely more than a string that looks like one. */
const hugeNumber = /\d[eE]\+?\d{3}|\d{309}/

/** Go refuses what JavaScript reads as infinite, and would later write as null. */
function refuseInfinity(value: unknown): void {
  if (value === Infinity || value === -Infinity)
    throw badRequest('json: cannot unmarshal number into Go value of type float64')
  if (typeof value !== 'object' || value === null) return
  for (const part of Object.values(value)) refuseInfinity(part)
}

/**
 * Characters that begin a line or an item, which the library makes an object of about a kilobyte for each. Nobody
 * writes that much by hand, and programs send JSON.
 */
const yamlItemLimit = 100_000
const yamlItem = /[\n,[{:]|- /g

function refuseEndlessYaml(text: string): void {
  let items = 0
  for (const _ of text.matchAll(yamlItem))
    if (++items > yamlItemLimit)
      throw new StatusError(
        'RequestEntityTooLarge',
        `Request entity too large: YAML of more than ${yamlItemLimit} lines and items; send JSON`,
      )
}

/** YAML as Kubernetes reads it: one document, scalars by YAML 1.1 (`yes` is true), no aliases that blow up. */
async function decodeYaml(text: string, expected: string): Promise<Decoded> {
  refuseEndlessYaml(text)
  // The library is large and YAML bodies are rare: loaded when the first one comes.
  const { isPair, isScalar, isSeq, parseDocument, visit } = await import('yaml')
  const document = parseDocument(text, {
    version: '1.1',
    schema: 'yaml-1.1',
    uniqueKeys: false,
    logLevel: 'silent',
  })
  const [error] = document.errors
  if (error)
    throw badRequest(
      `the object provided is unrecognized (must be of type ${expected}): couldn't get version/kind; yaml: ${error.message}`,
    )
  const duplicates: string[] = []
  visit(document, {
    Map(_, map, ancestors) {
      const seen = new Set<string>()
      for (const { key } of map.items) {
        const name = String(isScalar(key) ? key.value : key)
        if (seen.has(name) && duplicates.length < 50)
          duplicates.push(pathTo([...ancestors, map], name))
        seen.add(name)
      }
    },
  })
  let json: string | undefined
  try {
    json = JSON.stringify(document.toJS({ maxAliasCount: 100 }))
  } catch (thrown) {
    throw badRequest(`yaml: ${thrown instanceof Error ? thrown.message : String(thrown)}`)
  }
  // Through JSON: timestamps become text, map keys strings, and the limits are JSON's.
  return { ...decodeJson(json ?? 'null', expected), duplicates }

  /** `spec.list[0].b`, of the field `name` in the last of `nodes`, which run from the document downwards. */
  function pathTo(nodes: readonly unknown[], name: string): string {
    let path = ''
    for (const [i, node] of nodes.entries()) {
      if (isPair(node)) path += `.${String(isScalar(node.key) ? node.key.value : node.key)}`
      else if (isSeq(node)) path += `[${node.items.findIndex((item) => item === nodes[i + 1])}]`
    }
    return `${path}.${name}`.slice(1)
  }
}

/** The kind of patch that a Content-Type announces; undefined = 415. */
export function patchTypeOf(contentType: string | undefined): PatchType | undefined {
  return patchTypes.get(parseMediaType(contentType ?? '').type)
}

const patchTypes: ReadonlyMap<string, PatchType> = new Map([
  ['application/json-patch+json', 'json'],
  ['application/merge-patch+json', 'merge'],
  ['application/strategic-merge-patch+json', 'strategic'],
  ['application/apply-patch+yaml', 'apply'],
])
