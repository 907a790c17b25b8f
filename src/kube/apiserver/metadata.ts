/**
 * ObjectMeta as the server keeps it: what it fills in, what clients may not change, and what names, labels and
 * owner references must look like (apimachinery `api/validation`).
 */
import { rfc3339 } from '../../lib/clock.ts'
import { randomInt } from '../../lib/random.ts'
import type { Random } from '../../lib/random.ts'
import type { KindDefinition } from '../api/kind.ts'
import type { KubeObject, ObjectMeta } from '../api/meta.ts'
import { labelKeyProblem, labelValueProblem } from '../api/selectors.ts'
import type { FieldCause } from '../api/status-error.ts'
import { equal, without } from './values.ts'

/** Bytes of all annotations together, keys and values. */
const annotationsLimitBytes = 256 * 1024

/** A random (version 4) UUID from the given generator. */
export function randomUuid(random: Random): string {
  let hex = ''
  for (let i = 0; i < 32; i++) {
    const digit = i === 12 ? 4 : i === 16 ? 8 + randomInt(random, 4) : randomInt(random, 16)
    hex += digit.toString(16)
    if (i === 7 || i === 11 || i === 15 || i === 19) hex += '-'
  }
  return hex
}

/** Metadata of a new object: identity given by the server, whatever the client says of it. */
export function createdMetadata(
  kind: KindDefinition,
  given: ObjectMeta,
  name: string,
  namespace: string,
  server: { readonly random: Random; readonly nowMs: number },
): ObjectMeta {
  const rest = without(
    given,
    'namespace',
    'resourceVersion',
    'generation',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
    'managedFields',
    'selfLink',
  )
  return {
    ...rest,
    name,
    ...(kind.namespaced && { namespace }),
    uid: randomUuid(server.random),
    creationTimestamp: rfc3339(server.nowMs),
    ...(kind.hasGeneration && { generation: 1 }),
  }
}

/** Metadata of an update: the server's own fields from the stored object, the others from the client. */
export function updatedMetadata(given: ObjectMeta, stored: ObjectMeta): ObjectMeta {
  const rest = without(given, ...serverFields)
  const kept: Record<string, unknown> = {}
  for (const field of serverFields) {
    const value = stored[field]
    if (value !== undefined) kept[field] = value
  }
  return { ...rest, ...kept }
}

const serverFields = [
  'name',
  'namespace',
  'generateName',
  'uid',
  'resourceVersion',
  'generation',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'managedFields',
] as const satisfies readonly (keyof ObjectMeta)[]

/** True when a change of `old` to `next` is one of the desired state, which `metadata.generation` counts. */
export function bumpsGeneration(kind: KindDefinition, old: KubeObject, next: KubeObject): boolean {
  if (!kind.hasGeneration) return false
  const apart = kind.hasStatus ? ['metadata', 'status'] : ['metadata']
  if (!equal(without(old, ...apart), without(next, ...apart))) return true
  // A Deployment copies its annotations to its ReplicaSets, so they are part of what is desired.
  return (
    kind.group === 'apps' &&
    kind.kind === 'Deployment' &&
    !equal(old.metadata.annotations ?? {}, next.metadata.annotations ?? {})
  )
}

/** What is wrong with the metadata of an object of `kind`, in Kubernetes' words. `old` on updates. */
export function metadataProblems(
  kind: KindDefinition,
  { metadata }: KubeObject,
  old?: KubeObject,
): FieldCause[] {
  const causes: FieldCause[] = []
  const invalid = (field: string, value: unknown, why: string): void => {
    causes.push({
      reason: 'FieldValueInvalid',
      field,
      detail: `Invalid value: ${JSON.stringify(value)}: ${why}`,
    })
  }
  if (!old) {
    const problem = nameProblem(metadata.name, kind.nameRule)
    if (problem) invalid('metadata.name', metadata.name, problem)
  }
  for (const [key, value] of Object.entries(metadata.labels ?? {})) {
    const keyProblem = labelKeyProblem(key)
    if (keyProblem) invalid('metadata.labels', key, keyProblem)
    const valueProblem = labelValueProblem(value)
    if (valueProblem) invalid('metadata.labels', value, valueProblem)
  }
  let bytes = 0
  for (const [key, value] of Object.entries(metadata.annotations ?? {})) {
    const problem = labelKeyProblem(key.toLowerCase())
    if (problem) invalid('metadata.annotations', key, problem)
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value)
  }
  if (bytes > annotationsLimitBytes)
    causes.push({
      reason: 'FieldValueTooLong',
      field: 'metadata.annotations',
      detail: `Too long: may not be more than ${annotationsLimitBytes} bytes`,
    })
  for (const finalizer of metadata.finalizers ?? []) {
    const problem = labelKeyProblem(finalizer)
    if (problem) invalid('metadata.finalizers', finalizer, problem)
  }
  causes.push(...ownerProblems(metadata))
  if (old?.metadata.deletionTimestamp !== undefined) causes.push(...newFinalizers(metadata, old))
  return causes
}

function ownerProblems({ ownerReferences = [] }: ObjectMeta): FieldCause[] {
  const causes: FieldCause[] = []
  let controllers = 0
  for (const [index, owner] of ownerReferences.entries()) {
    for (const field of ['apiVersion', 'kind', 'name', 'uid'] as const) {
      if (!owner[field])
        causes.push({
          reason: 'FieldValueRequired',
          field: `metadata.ownerReferences[${index}].${field}`,
          detail: 'Required value: must not be empty',
        })
    }
    if (owner.controller) controllers++
  }
  if (controllers > 1)
    causes.push({
      reason: 'FieldValueInvalid',
      field: 'metadata.ownerReferences',
      detail: `Invalid value: ${JSON.stringify(ownerReferences)}: Only one reference can have Controller set to true`,
    })
  return causes
}

function newFinalizers({ finalizers = [] }: ObjectMeta, old: KubeObject): FieldCause[] {
  const added = finalizers.filter((each) => !old.metadata.finalizers?.includes(each))
  if (added.length === 0) return []
  const list = added.map((each) => JSON.stringify(each)).join(', ')
  return [
    {
      reason: 'FieldValueForbidden',
      field: 'metadata.finalizers',
      detail: `Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{${list}}`,
    },
  ]
}

const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/
const label = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/
const dns1035 = /^[a-z]([-a-z0-9]*[a-z0-9])?$/

/** What is wrong with an object's name; undefined when nothing is. Length is tested first, so the patterns stay cheap. */
export function nameProblem(
  name: string,
  rule: KindDefinition['nameRule'] = 'subdomain',
): string | undefined {
  switch (rule) {
    case 'label':
      if (name.length > 63) return 'must be no more than 63 characters'
      return label.test(name)
        ? undefined
        : "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
    case 'dns1035':
      if (name.length > 63) return 'must be no more than 63 characters'
      return dns1035.test(name)
        ? undefined
        : "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
    case 'path':
      if (name === '.' || name === '..') return `may not be '${name}'`
      if (name.includes('/')) return "may not contain '/'"
      return name.includes('%') ? "may not contain '%'" : undefined
    case 'subdomain':
      if (name.length > 253) return 'must be no more than 253 characters'
      return subdomain.test(name)
        ? undefined
        : "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
  }
}
