/** Old ways to say where events go, and back: bare references, DNS names, `{channel}`. */
import { denied } from '../../../knative/admission.ts'
import { multipleOneOf, reportErrors, via, type FieldErrors } from '../../../knative/field-error.ts'
import { fieldsOf, isFields, textOf, without, type Fields } from '../../../knative/old-form.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import { validationWebhook } from '../names.ts'

const inline = ['apiVersion', 'kind', 'name', 'namespace'] as const

/** Throws the webhook's denial when there is a complaint. */
export function refuse(errors: FieldErrors): void {
  const { refusal } = reportErrors(errors)
  if (refusal) throw denied(validationWebhook, 'validation failed', refusal)
}

/**
 * Today's Destination of an old one; undefined when there is none. `path` is named when two ways are mixed, which only
 * a patch may: then what the client wrote (the old way) holds over what it was answered.
 */
export function destinationOf(value: unknown, path: string, patched: boolean): Fields | undefined {
  if (!isFields(value) || Object.keys(value).length === 0) return undefined
  const old = isFields(value['channel']) ? { ...fieldsOf(value['channel']) } : value
  const rest = without(value, 'dnsName', 'channel', ...inline)
  const dnsName = textOf(value['dnsName'])
  const bare = Object.fromEntries(
    inline.flatMap((name) => (textOf(old[name]) ? [[name, textOf(old[name])]] : [])),
  )
  const isBare = bare['kind'] !== undefined || bare['name'] !== undefined
  const ways = [
    ...(isFields(rest['ref']) ? ['ref'] : []),
    ...(isBare ? ['[apiVersion, kind, name]'] : []),
    ...(dnsName ? ['dnsName'] : []),
  ]
  if (ways.length > 1 && !patched) refuse(via(path, [multipleOneOf(...ways)]))
  if (dnsName) return { ...without(rest, 'ref'), uri: `http://${dnsName}/` }
  if (!isBare) return rest
  // The namespace that defaulting added to the stored one stays.
  const before = fieldsOf(rest['ref'])
  const same = before['name'] === bare['name'] && before['kind'] === bare['kind']
  return { ...rest, ref: { ...(same && without(before, 'address')), ...bare } }
}

/** A Destination that is only a reference, as the bare one it was; others stay. */
export function bareOf(value: unknown): unknown {
  if (!isFields(value) || !isFields(value['ref']) || value['uri'] !== undefined) return value
  return { ...without(value, 'ref'), ...value['ref'] }
}

/** `spec` with some of its fields converted by `convert`; absent ones stay absent. */
export const mapped = (
  spec: Fields,
  fields: Readonly<Record<string, (value: unknown) => unknown>>,
): Fields => {
  const next: Record<string, unknown> = { ...spec }
  for (const [name, convert] of Object.entries(fields)) {
    if (spec[name] === undefined) continue
    const value = convert(spec[name])
    if (value === undefined) delete next[name]
    else next[name] = value
  }
  return next
}

/** Status of today as old clients read it: a host name beside the URL. */
export function oldAddress(status: Fields): Fields {
  const { address } = status
  const host = URL.parse(textOf(fieldsOf(address)['url']))?.hostname
  if (!host) return status
  return { ...status, address: { ...fieldsOf(address), hostname: host } }
}

/** And back. */
export const todaysAddress = (status: Fields): Fields =>
  isFields(status['address'])
    ? { ...status, address: without(status['address'], 'hostname') }
    : status

export const deprecation = (group: string, version: string, kind: string, today = 'v1'): string =>
  `${group}/${version} ${kind} is deprecated; use ${group}/${today} ${kind}`

/** Annotations with some added or (undefined) taken away. */
export function withAnnotations<T extends KubeObject>(
  object: T,
  changes: Readonly<Record<string, string | undefined>>,
): T {
  const annotations = Object.fromEntries(
    Object.entries({ ...object.metadata.annotations, ...changes }).filter(
      (entry): entry is [string, string] => entry[1] !== undefined,
    ),
  )
  const { annotations: _, ...metadata } = object.metadata
  return {
    ...object,
    metadata: { ...metadata, ...(Object.keys(annotations).length > 0 && { annotations }) },
  }
}
