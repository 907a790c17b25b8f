/**
 * Protobuf request bodies, which kubectl 1.32 and later send for some commands and take no "no" for.
 * Decoding only: answers are JSON. Field numbers and types come from `kube-proto-fields.json`, loaded at the
 * first such body.
 */
import { createRequire } from 'node:module'
import { rfc3339 } from '../../lib/clock.ts'
import { badRequest, StatusError } from '../api/status-error.ts'
import { ProtobufReader } from './protobuf-reader.ts'

export const protobufMediaType = 'application/vnd.kubernetes.protobuf'

/** `k8s\0`, which every body begins with. */
const magic = [0x6b, 0x38, 0x73, 0x00]
const MAX_DEPTH = 100

/**
 * `[number, type, flags]`: type `x[]` is repeated, `map<string,x>` a map; flags: `p` a pointer (zero is not
 * absent), `r` always in JSON, `i` the fields of the inner message belong to the outer one.
 */
type Field = readonly [number: number, type: string, flags?: string]
type Messages = Readonly<Record<string, Readonly<Record<string, Field>>>>

interface FieldType {
  readonly name: string
  readonly type: string
  readonly repeated: boolean
  readonly map: boolean
  readonly keepsZero: boolean
  readonly inlined: boolean
}

const meta = 'k8s.io.apimachinery.pkg.apis.meta.v1.'
const raw = (reader: ProtobufReader) => parsedJson(onlyField(reader, 1)?.text() ?? '{}')

/** Messages whose JSON is not an object of their fields. */
const special: Readonly<Record<string, (reader: ProtobufReader) => unknown>> = {
  [`${meta}Time`]: (reader) => timeText(reader, false),
  [`${meta}MicroTime`]: (reader) => timeText(reader, true),
  [`${meta}Duration`]: (reader) => {
    const nanos = onlyField(reader, 1)?.integer() ?? 0
    return `${nanos / 1e9}s`
  },
  [`${meta}FieldsV1`]: raw,
  'k8s.io.apimachinery.pkg.runtime.RawExtension': raw,
  'k8s.io.apimachinery.pkg.api.resource.Quantity': (reader) => onlyField(reader, 1)?.text() || '0',
  'k8s.io.apimachinery.pkg.util.intstr.IntOrString': intOrString,
  'k8s.io.api.certificates.v1.ExtraValue': texts,
  'k8s.io.api.authorization.v1.ExtraValue': texts,
  'k8s.io.api.authentication.v1.ExtraValue': texts,
}

/**
 * A framed object (`k8s\0` and a runtime.Unknown) as what its JSON would be. Zero values that JSON leaves out are
 * left out, so that defaults apply. Throws BadRequest for anything that cannot be read.
 */
export function decodeProtobuf(bytes: Uint8Array): unknown {
  if (!magic.every((byte, i) => bytes[i] === byte))
    throw badRequest(
      'provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]',
    )
  try {
    let apiVersion = ''
    let kind = ''
    let content: ProtobufReader | undefined
    const unknown = new ProtobufReader(bytes.subarray(magic.length))
    while (unknown.next()) {
      if (unknown.field === 1) {
        const type = unknown.message()
        while (type.next()) {
          if (type.field === 1) apiVersion = type.text()
          else if (type.field === 2) kind = type.text()
        }
      } else if (unknown.field === 2) content = unknown.message()
    }
    const message = messageName(apiVersion, kind)
    if (message === undefined)
      throw badRequest(
        `no kind "${kind}" is registered for version "${apiVersion}" in protobuf form`,
      )
    const fields = content ? decodeMessage(message, content, 0) : {}
    return { apiVersion, kind, ...(typeof fields === 'object' ? fields : {}) }
  } catch (thrown) {
    if (thrown instanceof StatusError) throw thrown
    const why = thrown instanceof Error ? thrown.message : String(thrown)
    throw badRequest(`the protobuf body cannot be read: ${why}`)
  }
}

let loaded: Messages | undefined
function messages(): Messages {
  loaded ??= createRequire(import.meta.url)('./kube-proto-fields.json') as Messages
  return loaded
}

/** Options (`DeleteOptions`) may come under any group and version. */
function messageName(apiVersion: string, kind: string): string | undefined {
  const [first = '', second] = apiVersion.split('/')
  const [group, version] = second === undefined ? ['core', first] : [first, second]
  const own = `k8s.io.api.${group.split('.')[0] ?? ''}.${version}.${kind}`
  if (Object.hasOwn(messages(), own)) return own
  return Object.hasOwn(messages(), meta + kind) ? meta + kind : undefined
}

const compiled = new Map<string, ReadonlyMap<number, FieldType>>()

function fieldsOf(message: string): ReadonlyMap<number, FieldType> {
  const known = compiled.get(message)
  if (known) return known
  const fields = new Map<number, FieldType>()
  for (const [name, [number, text, flags = '']] of Object.entries(messages()[message] ?? {})) {
    const map = text.startsWith('map<')
    const repeated = text.endsWith('[]')
    fields.set(number, {
      name,
      type: map ? text.slice('map<string,'.length, -1) : repeated ? text.slice(0, -2) : text,
      repeated,
      map,
      keepsZero: flags.includes('p') || flags.includes('r'),
      inlined: flags.includes('i'),
    })
  }
  compiled.set(message, fields)
  return fields
}

function decodeMessage(name: string, reader: ProtobufReader, depth: number): unknown {
  if (depth > MAX_DEPTH) throw new Error('nested too deeply')
  const read = special[name]
  if (read) return read(reader)
  const fields = fieldsOf(name)
  const answer: Record<string, unknown> = {}
  while (reader.next()) {
    const field = fields.get(reader.field)
    if (!field) continue // of a newer version than we know
    if (field.map) {
      const [key, value] = entry(field.type, reader.message(), depth)
      const map = (answer[field.name] ??= {})
      Object.defineProperty(map, key, {
        value,
        enumerable: true,
        writable: true,
        configurable: true,
      })
    } else if (field.repeated) {
      const list = (answer[field.name] ??= [])
      if (Array.isArray(list)) list.push(...values(field.type, reader, depth))
    } else {
      const [value] = values(field.type, reader, depth)
      if (field.inlined && typeof value === 'object') Object.assign(answer, value)
      else if (field.keepsZero || !isZero(value)) answer[field.name] = value
    }
  }
  return answer
}

const isZero = (value: unknown): boolean =>
  value === 0 || value === '' || value === false || value === undefined

/** One entry of a map: field 1 is its key, field 2 its value. */
function entry(type: string, reader: ProtobufReader, depth: number): [string, unknown] {
  let key = ''
  let value: unknown
  while (reader.next()) {
    if (reader.field === 1) key = reader.text()
    else if (reader.field === 2) [value] = values(type, reader, depth)
  }
  return [key, value ?? (type === 'string' || type === 'bytes' ? '' : {})]
}

/** The value at the reader; several when repeated numbers are packed. */
function values(type: string, reader: ProtobufReader, depth: number): readonly unknown[] {
  switch (type) {
    case 'string':
      return [reader.text()]
    case 'bytes':
      return [Buffer.from(reader.bytes()).toString('base64')]
    case 'bool':
      return [reader.integer() !== 0]
    case 'int32':
    case 'int64':
    case 'uint32':
    case 'uint64':
      return reader.integers()
    case 'double':
      return [reader.double()]
    default:
      return [decodeMessage(type, reader.message(), depth + 1)]
  }
}

/** The reader at the last occurrence of one field; undefined when the message lacks it. */
function onlyField(reader: ProtobufReader, field: number): ProtobufReader | undefined {
  let found: ProtobufReader | undefined
  while (reader.next()) if (reader.field === field) found = reader.here()
  return found
}

function timeText(reader: ProtobufReader, micros: boolean): string | null {
  let seconds = 0
  let nanos = 0
  let empty = true
  while (reader.next()) {
    empty = false
    if (reader.field === 1) seconds = reader.integer()
    else if (reader.field === 2) nanos = reader.integer()
  }
  if (empty) return null
  if (Math.abs(seconds) > 8.64e12) throw new Error('time out of range')
  const text = rfc3339(seconds * 1000)
  return micros ? text.replace('Z', `.${String(Math.trunc(nanos / 1000)).padStart(6, '0')}Z`) : text
}

/** 0 counts as absent, as it does in JSON's `omitempty`. */
function intOrString(reader: ProtobufReader): number | string {
  let isText = false
  let number = 0
  let text = ''
  while (reader.next()) {
    if (reader.field === 1) isText = reader.integer() === 1
    else if (reader.field === 2) number = reader.integer()
    else if (reader.field === 3) text = reader.text()
  }
  return isText ? text : number
}

function texts(reader: ProtobufReader): string[] {
  const all: string[] = []
  while (reader.next()) if (reader.field === 1) all.push(reader.text())
  return all
}

const parsedJson = (text: string): unknown => JSON.parse(text)
