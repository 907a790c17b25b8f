/**
 * From what a client sent to an object in the storage version: type and version checked, unknown and duplicate
 * fields reported or refused, pruned, converted, defaulted, its types verified.
 */
import type { KubeObject, ObjectMeta } from '../../api/meta.ts'
import { conforms } from '../../api/conforming.ts'
import { similarField } from '../../api/similar-field.ts'
import { badRequest, invalid } from '../../api/status-error.ts'
import {
  applyDefaults,
  decodeProblem,
  prune,
  typeErrors,
  unknownFields,
  wholeSchema,
} from '../../api/structural.ts'
import { apiVersionOfTarget, readStored } from '../machinery.ts'
import type { Target } from '../machinery.ts'
import { invalidOption } from '../http/option-errors.ts'
import type { OptionsKind } from '../http/option-errors.ts'
import { fieldsOf, isRecord } from '../values.ts'
import type { Fields } from '../values.ts'

/** Reads the body of a create or an update. Throws BadRequest or Invalid. */
export function readObject(target: Target, optionsKind: OptionsKind): KubeObject {
  const sent = withType(target, target.request.body)
  const { news, known } = partsOf(target, sent)
  const fits = isStorable(target, news)
  const complaints = strictComplaints(target, news, optionsKind, fits)
  if (complaints.length > 0)
    throw badRequest(`${cannotBeHandled(target)}: strict decoding error: ${complaints.join(', ')}`)
  return withKnown(fits ? checked(news) : toStored(target, news), sent, known)
}

/** Reads the object that a patch made. Throws Invalid for unknown fields, as Kubernetes does for patches. */
export function readPatched(target: Target, patched: Fields): KubeObject {
  const sent = withType(target, patched)
  const { news, known } = partsOf(target, sent)
  const fits = isStorable(target, news)
  const complaints = strictComplaints(target, news, 'PatchOptions', fits)
  if (complaints.length > 0)
    throw invalid({ group: '', kind: '', plural: '' }, '', [
      {
        reason: 'FieldValueInvalid',
        field: 'patch',
        detail: `Invalid value: ${JSON.stringify(JSON.stringify(patched))}: strict decoding error: ${complaints.join(', ')}`,
      },
    ])
  return withKnown(fits ? checked(news) : toStored(target, news), sent, known)
}

/**
 * What of an object is to be checked, and what need not be: the parts that are the stored object's own, by reference.
 * The controllers inside send back what they were given, and most of their writes change the status alone.
 */
function partsOf(target: Target, sent: Fields): { readonly news: Fields; readonly known: Fields } {
  const { kind, served, version, machinery } = target
  const metadata = fieldsOf(sent['metadata'])
  const { name } = metadata
  if (served || kind.custom || typeof name !== 'string' || wholeSchema(kind, version).required)
    return { news: sent, known: {} }
  const key = { namespace: kind.namespaced ? target.namespace : '', name }
  const old = fieldsOf(readStored(machinery, kind, key))
  const isKnown = (field: string): boolean =>
    field !== 'metadata' && typeof sent[field] === 'object' && sent[field] === old[field]
  const fields = Object.keys(sent)
  if (!fields.some(isKnown)) return { news: sent, known: {} }
  const pick = (wanted: readonly string[]): Fields =>
    Object.fromEntries(wanted.map((field) => [field, sent[field]]))
  return {
    news: pick(fields.filter((field) => !isKnown(field))),
    known: pick(fields.filter(isKnown)),
  }
}

/** The checked object with the parts that needed no check, in the order in which they were sent. */
function withKnown(object: KubeObject, sent: Fields, known: Fields): KubeObject {
  if (Object.keys(known).length === 0) return object
  const order = Object.fromEntries(Object.keys(sent).map((field) => [field, undefined]))
  return { ...order, ...object, ...known }
}

/** Reads the object that an applied configuration made; its fields have been checked against the schema before. */
export const readApplied = (target: Target, applied: Fields): KubeObject =>
  toStored(target, withType(target, applied))

const cannotBeHandled = ({ kind, version }: Target): string =>
  `${kind.kind} in version "${version}" cannot be handled as a ${kind.kind}`

/** The body as a map of the type that the endpoint is for. */
function withType(target: Target, body: unknown): Fields {
  const { kind } = target
  const apiVersion = apiVersionOfTarget(target)
  if (!isRecord(body))
    throw badRequest(
      `the object provided is unrecognized (must be of type ${kind.kind}): couldn't get version/kind; json parse error: json: cannot unmarshal ${jsonType(body)} into Go value of type struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }`,
    )
  if (body['kind'] === undefined || body['kind'] === '') {
    if (kind.flavour === 'custom') throw badRequest("Object 'Kind' is missing in the data")
  } else if (body['kind'] !== kind.kind)
    throw badRequest(
      `the kind in the data (${plain(body['kind'])}) does not match the expected kind (${kind.kind})`,
    )
  if (body['apiVersion'] === undefined || body['apiVersion'] === '') {
    if (kind.flavour === 'custom') throw badRequest("Object 'apiVersion' is missing in the data")
  } else if (body['apiVersion'] !== apiVersion)
    throw badRequest(
      `the API version in the data (${plain(body['apiVersion'])}) does not match the expected API version (${apiVersion})`,
    )
  const metadata = body['metadata'] ?? {}
  if (body['apiVersion'] && body['kind'] && body['metadata']) return body
  return { ...body, apiVersion, kind: kind.kind, metadata }
}

const plain = (value: unknown): string =>
  typeof value === 'string' ? value : JSON.stringify(value)

const jsonType = (value: unknown): string =>
  value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value

/** Whether an object may be stored as it is: nothing is unknown, wrong, missing or in another version. */
const isStorable = ({ kind, served, version }: Target, sent: Fields): boolean =>
  !served && !kind.custom && conforms(wholeSchema(kind, version), sent)

const unknownField = (path: string): string => `unknown field ${JSON.stringify(path)}`

/** So many unknown fields of an object are guessed at. */
const guessed = 10

/** A guess at what was meant, for kinds of ours; what Kubernetes says of its own kinds, and of its users', is as it says it. */
function meant({ kind, version }: Target, path: string): string {
  const isOurs = kind.flavour === 'custom' && !kind.custom
  const similar = isOurs ? similarField(wholeSchema(kind, version), path) : undefined
  return similar === undefined ? '' : `, did you mean ${JSON.stringify(similar)}?`
}

/** By a path of names and `[index]`, as unknown fields are told. */
const valueAt = (object: unknown, path: string): unknown =>
  path
    .split(/[.[\]]+/)
    .filter((name) => name !== '')
    .reduce<unknown>((at, name) => {
      if (Array.isArray(at)) return (at as readonly unknown[])[Number(name)]
      return isRecord(at) ? at[name] : undefined
    }, object)

/** What strict decoding complains of. With `Warn` it becomes warnings, with `Ignore` nothing. */
function strictComplaints(
  target: Target,
  sent: Fields,
  optionsKind: OptionsKind,
  fits: boolean,
): string[] {
  const { fieldValidation = 'Warn' } = target.request.options
  if (fieldValidation !== 'Ignore' && fieldValidation !== 'Warn' && fieldValidation !== 'Strict')
    throw invalidOption(
      optionsKind,
      'fieldValidation',
      `Unsupported value: ${JSON.stringify(fieldValidation)}: supported values: "", "Ignore", "Strict", "Warn"`,
      'FieldValueNotSupported',
    )
  if (fieldValidation === 'Ignore') return []
  const unknown = fits ? [] : unknownFields(wholeSchema(target.kind, target.version), sent)
  // Texts of old versions have been copied for years: a name without a value in them is told and does no harm.
  const isOld = target.served?.deprecationWarning !== undefined
  const saysNothing = (path: string) => isOld && valueAt(sent, path) === null
  for (const path of unknown.filter(saysNothing)) target.warn(unknownField(path))
  const complaints = [
    ...unknown
      .filter((path) => !saysNothing(path))
      .map((path, i) => unknownField(path) + (i < guessed ? meant(target, path) : '')),
    ...(target.request.duplicateFields ?? []).map(
      (path) => `duplicate field ${JSON.stringify(path)}`,
    ),
  ]
  if (fieldValidation === 'Strict') return complaints
  for (const complaint of complaints) target.warn(complaint)
  return []
}

function toStored(target: Target, sent: Fields): KubeObject {
  const { kind, served, version, warn } = target
  const schema = wholeSchema(kind, version)
  // The types of a built-in kind are what Go's decoder would take; a custom kind is checked by its schema below.
  const problem = decodeProblem(kind.flavour === 'builtin' ? schema : metadataOnly, sent, kind.kind)
  if (problem !== undefined) throw badRequest(`${cannotBeHandled(target)}: ${problem}`)
  if (kind.custom) return kind.custom.read(checked(sent))
  let object = checked(prune(schema, sent))
  if (served) {
    refuseTypeErrors(target, object, version)
    object = served.toStorage(object, warn)
  }
  object = applyDefaults(wholeSchema(kind), object)
  refuseTypeErrors(target, object, kind.version)
  return object
}

const metadataOnly = {
  type: 'object',
  properties: {
    metadata: { $ref: '#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta' },
  },
} as const

function refuseTypeErrors(target: Target, object: KubeObject, version: string): void {
  const causes = typeErrors(wholeSchema(target.kind, version), object)
  if (causes.length > 0) throw invalid(target.kind, object.metadata.name, causes)
}

/** A map whose metadata the schema has checked, as an object. */
function checked(fields: Fields): KubeObject {
  const { apiVersion, kind } = fields
  return { ...fields, apiVersion: String(apiVersion), kind: String(kind), metadata: named(fields) }
}

function named(fields: Fields): ObjectMeta {
  const metadata = fieldsOf(fields['metadata'])
  const { name } = metadata
  return { ...metadata, name: typeof name === 'string' ? name : '' }
}

/** The name and namespace in the body must be the URL's. Throws BadRequest. Answers the object's namespace. */
export function checkPlace(target: Target, object: KubeObject): string {
  const { kind, namespace, name } = target
  const given = object.metadata
  if (name !== '' && given.name !== '' && given.name !== name)
    throw badRequest(
      `the name of the object (${given.name}) does not match the name on the URL (${name})`,
    )
  if (!kind.namespaced) return ''
  const inBody = given.namespace ?? ''
  if (inBody !== '' && namespace !== '' && inBody !== namespace)
    throw badRequest(
      'the namespace of the provided object does not match the namespace sent on the request',
    )
  const place = namespace || inBody
  if (place === '') throw badRequest('an empty namespace may not be set during creation')
  return place
}
