/** Metadata of Service, Configuration, Route and Revision: who made them, and what must hold. */
import { parseDuration } from '../../knative/duration.ts'
import {
  genericError,
  invalidKeyName,
  invalidValue,
  missingField,
  via,
  type FieldError,
} from '../../knative/field-error.ts'
import type { AdmissionContext } from '../../kube/api/kind.ts'
import type { KubeObject, ObjectMeta } from '../../kube/api/meta.ts'
import { label1035Problem } from '../../kube/api/validation.ts'
import { annotation, annotationSpellings, clusterLocal, firstSpelling, label } from './names.ts'

/** Annotations `creator` and `lastModifier`; whoever sends them has no say. `changed` = the spec differs from before. */
export function withUserInfo<T extends KubeObject>(
  object: T,
  { operation, user }: AdmissionContext<T>,
  changed: boolean,
): T {
  if (operation === 'UPDATE' && !changed) return object
  const annotations = {
    ...object.metadata.annotations,
    ...(operation === 'CREATE' && { [annotation.creator]: user.username }),
    [annotation.lastModifier]: user.username,
  }
  return { ...object, metadata: { ...object.metadata, annotations } }
}

/** The visibility label of before 0.18 counts as today's, with a warning. */
export function withVisibility<T extends KubeObject>(object: T, context: AdmissionContext<T>): T {
  const { labels } = object.metadata
  if (labels?.[label.oldVisibility] !== clusterLocal || labels[label.visibility] !== undefined)
    return object
  context.warn(
    `metadata.labels["${label.oldVisibility}"] is an old spelling; read as "${label.visibility}"`,
  )
  return {
    ...object,
    metadata: { ...object.metadata, labels: { ...labels, [label.visibility]: clusterLocal } },
  }
}

/** Names, annotations and labels. */
export function* validateMetadata(
  kind: 'Service' | 'Configuration' | 'Route' | 'Revision',
  metadata: ObjectMeta,
  old?: ObjectMeta,
): Generator<FieldError> {
  yield* via('metadata', validateName(metadata))
  if (kind !== 'Revision') yield* via('metadata.annotations', noAutoscaling(metadata))
  if (kind === 'Service' || kind === 'Route')
    yield* via('metadata.annotations', validateRollout(metadata))
  if (kind === 'Configuration' || kind === 'Route')
    yield* ownedAsLabelled(metadata, old, label.service, 'Service')
  if (kind === 'Revision')
    yield* ownedAsLabelled(metadata, old, label.configuration, 'Configuration')
}

/** A name, or the prefix of one that the server makes. */
function* validateName({ name, generateName }: Partial<ObjectMeta>): Generator<FieldError> {
  if (generateName && (!name || name.startsWith(generateName))) {
    const problem = label1035Problem(generateName.replace(/-$/, 'a'))
    if (problem) yield genericError(`not a DNS 1035 label prefix: [${problem}]`, 'generateName')
  } else if (name) {
    const problem = label1035Problem(name)
    if (problem) yield genericError(`not a DNS 1035 label: [${problem}]`, 'name')
  } else yield genericError('name or generateName is required', 'name')
}

function* noAutoscaling({ annotations = {} }: ObjectMeta): Generator<FieldError> {
  for (const key of Object.keys(annotations)) {
    if (key.startsWith('autoscaling.knative.dev')) {
      yield invalidKeyName(
        key,
        '',
        'autoscaling annotations must be put under "spec.template.metadata.annotations" to work',
      )
    }
  }
}

function* validateRollout({ annotations }: ObjectMeta): Generator<FieldError> {
  const found = firstSpelling(annotations, annotationSpellings.rolloutDuration)
  if (found) yield* validateWholeSeconds('rollout-duration', found, 0)
}

/** A duration in whole seconds of at least `leastMs`. */
export function* validateWholeSeconds(
  name: string,
  { key, value }: { readonly key: string; readonly value: string },
  leastMs: number,
): Generator<FieldError> {
  const ms = parseDuration(value)
  if (ms === undefined) yield invalidValue(value, key)
  else {
    if (ms % 1000 !== 0) yield genericError(`${name}=${value} is not at second precision`, key)
    if (ms < leastMs) yield genericError(`${name}=${value} must be positive`, key)
  }
}

/**
 * Who carries an owner's label must be owned by it. An update that leaves the label alone is not asked: it may be the
 * garbage collector taking the owner away (`kubectl delete --cascade=orphan`), which would otherwise never end.
 */
function* ownedAsLabelled(
  metadata: ObjectMeta,
  old: ObjectMeta | undefined,
  key: string,
  ownerKind: string,
): Generator<FieldError> {
  const name = metadata.labels?.[key]
  if (name === undefined || name === old?.labels?.[key]) return
  const owned = metadata.ownerReferences?.some((ref) => ref.kind === ownerKind && ref.name === name)
  if (!owned) yield missingField(`metadata.labels.${key}`)
}

/** On UPDATE: the creator stays, and who changes nothing is no modifier. */
export function* validateUserInfo(
  object: KubeObject,
  old: KubeObject | undefined,
  changed: boolean,
): Generator<FieldError> {
  if (!old) return
  const before = old.metadata.annotations ?? {}
  const after = object.metadata.annotations ?? {}
  const at = 'metadata.annotations'
  if (before[annotation.creator] !== after[annotation.creator])
    yield genericError('annotation value is immutable', `${at}.${annotation.creator}`)
  const modifier = after[annotation.lastModifier]
  if (!changed && before[annotation.lastModifier] !== modifier)
    yield invalidValue(modifier ?? '', `${at}.${annotation.lastModifier}`)
}

export const isOwned = ({ metadata }: KubeObject): boolean =>
  (metadata.ownerReferences?.length ?? 0) > 0
