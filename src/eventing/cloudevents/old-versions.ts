/** Events of CloudEvents 0.1 and 0.2, converted to 1.0: old producers live on, and nobody has to know. */
import { CloudEventError, type AttributeValue } from './cloud-event.ts'
import { decodeContentType, decodeHeader } from './header-value.ts'

/** Names that changed on the way to 1.0. */
const renamed: ReadonlyMap<string, string> = new Map([
  ['cloudeventsversion', 'specversion'],
  ['eventtype', 'type'],
  ['eventid', 'id'],
  ['eventtime', 'time'],
  ['schemaurl', 'dataschema'],
  ['contenttype', 'datacontenttype'],
])

/** Attributes of a JSON event of an old version, by their names of today; undefined for others. */
export function fromOldMembers(
  members: Readonly<Record<string, unknown>>,
): { readonly attributes: Readonly<Record<string, unknown>> } | undefined {
  if (members['cloudEventsVersion'] !== '0.1' && members['specversion'] !== '0.2') return undefined
  const { extensions, ...others } = members
  const bag = typeof extensions === 'object' && extensions !== null ? extensions : {}
  const attributes: Record<string, unknown> = {}
  for (const [name, value] of [...Object.entries(bag), ...Object.entries(others)]) {
    if (name === 'data' || name === 'data_base64') continue
    attributes[modernName(name)] = simple(value)
  }
  return { attributes: { ...attributes, specversion: '1.0' } }
}

/** Attributes of headers of an old version (names lowered), by their names of today; undefined for others. */
export function fromOldHeaders(
  headers: Iterable<readonly [name: string, value: string]>,
): Record<string, AttributeValue> | undefined {
  if (!speaksOld(headers)) return undefined
  const found = new Map(headers)
  const first = found.get('ce-cloudeventsversion')
  if (first !== '0.1' && !/^"?0\.2"?$/.test(found.get('ce-specversion') ?? '')) return undefined
  const attributes: Record<string, AttributeValue> = {}
  for (const [name, value] of found) {
    if (!name.startsWith('ce-') || value === '') continue
    // Extensions had a prefix of their own in 0.1, and maps a dash in 0.2.
    const bare = first === '0.1' && name.startsWith('ce-x-') ? name.slice(5) : name.slice(3)
    const attribute = modernName(bare)
    attributes[attribute] = fromJson(value) ?? decodeHeader(attribute, value)
  }
  const contentType = found.get('content-type')
  if (contentType) attributes['datacontenttype'] = decodeContentType(contentType)
  return { ...attributes, specversion: '1.0' }
}

/** Nearly all events are of today: told without looking anything up. */
function speaksOld(headers: Iterable<readonly [name: string, value: string]>): boolean {
  for (const [name, value] of headers)
    if (name === 'ce-cloudeventsversion' || (name === 'ce-specversion' && value.includes('0.2')))
      return true
  return false
}

function modernName(name: string): string {
  const plain = name.toLowerCase().replaceAll(/[^a-z0-9]/g, '')
  return renamed.get(plain) ?? plain
}

/** Values could be JSON: strings in quotes. */
function fromJson(value: string): string | undefined {
  if (!/^".*"$/s.test(value)) return undefined
  try {
    return String(JSON.parse(Buffer.from(value, 'latin1').toString()))
  } catch {
    return undefined
  }
}

function simple(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (isDeeper(value, maxDepth))
    throw new CloudEventError(`an extension is nested deeper than ${maxDepth} levels`)
  return JSON.stringify(value)
}

const maxDepth = 64

const isDeeper = (value: unknown, levels: number): boolean =>
  typeof value === 'object' &&
  value !== null &&
  (levels === 0 || Object.values(value).some((each) => isDeeper(each, levels - 1)))
