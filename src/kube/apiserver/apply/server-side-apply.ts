/**
 * PATCH with `application/apply-patch+yaml`: reads the configuration, refuses what it may not say, lays it over the live
 * object and stores the result by the rules of an update, or of a create where nothing is there yet.
 */
import { rfc3339 } from '../../../lib/clock.ts'
import type { KubeObject } from '../../api/meta.ts'
import type { ApiResponse } from '../../api/protocol.ts'
import { StatusError, badRequest, notFound } from '../../api/status-error.ts'
import { wholeSchema } from '../../api/structural.ts'
import { checkPlace, readApplied } from '../verbs/body.ts'
import { createNow } from '../verbs/create.ts'
import {
  answer,
  answerBody,
  apiVersionOfTarget,
  present,
  readStored,
  settled,
  unknownResource,
} from '../machinery.ts'
import type { Target } from '../machinery.ts'
import { invalidOption } from '../http/option-errors.ts'
import { scaleOf, withScale } from '../verbs/scale.ts'
import { commitUpdate, isUpdatable } from '../verbs/update.ts'
import { equal, isRecord, without } from '../values.ts'
import type { Fields } from '../values.ts'
import { applied } from './applying.ts'
import { configProblems } from './declared.ts'
import { leaf, union } from './field-set.ts'
import { beforeFirstApply, isSame, readEntries } from './managers.ts'
import type { Entry } from './managers.ts'
import { changes, createdTrees, reconciled } from './ownership.ts'
import { managerOf, ownable, spelledOut } from './tracking.ts'

export async function serverSideApply(target: Target): Promise<ApiResponse> {
  const { options } = target.request
  if (!options.fieldManager)
    throw invalidOption(
      'PatchOptions',
      'fieldManager',
      'Required value: is required for apply patch',
      'FieldValueRequired',
    )
  const isScale = target.subresource === 'scale' && target.kind.scale !== undefined
  if (!isScale && !isUpdatable(target)) throw unknownResource()
  const config = readConfig(target, isScale)
  const key = { namespace: target.namespace, name: target.name }
  const old = readStored(target.machinery, target.kind, key)
  if (!old) return createApplied(target, config)
  if (isScale) return applyScale(target, old, config)
  const { object, entries } = apply(target, old, config)
  const given = readApplied(target, object)
  checkPlace(target, given)
  const { object: stored, writes } = commitUpdate(target, old, given, entries)
  await settled(target, ...writes)
  return answer(target, 200, stored)
}

async function createApplied(target: Target, config: Fields): Promise<ApiResponse> {
  if (target.subresource !== '') throw notFound(target.kind, target.name)
  const { uid } = isRecord(config['metadata']) ? config['metadata'] : {}
  // A configuration with a uid means an object that is there.
  if (typeof uid === 'string' && uid !== '')
    throw new StatusError(
      'Conflict',
      `Operation cannot be fulfilled on ${target.kind.plural} "${target.name}": uid mismatch: the provided object specified uid ${uid}, and no existing object was found`,
      { name: target.name, kind: target.kind.plural },
    )
  const empty = {
    apiVersion: apiVersionOfTarget(target),
    kind: target.kind.kind,
    metadata: {
      name: target.name,
      ...(target.namespace !== '' && { namespace: target.namespace }),
    },
  }
  const { object, entries } = apply(target, empty, config)
  const created = createNow(target, readApplied(target, object), entries)
  await settled(target, ...created.writes)
  return answer(target, 201, created.object)
}

/** The configuration over `old`, in the request's version. */
function apply(target: Target, old: KubeObject, config: Fields) {
  const { kind, version, machinery } = target
  const { metadata, ...rest } = present(target, old)
  const nowMs = machinery.clock.now()
  const { object, entries } = applied({
    schema: wholeSchema(kind, version),
    kind,
    live: { ...rest, metadata: without(metadata, 'managedFields') },
    entries: managersOf(target, old, nowMs),
    config,
    manager: managerOf(target, 'Apply'),
    force: target.request.options.force ?? false,
    nowMs,
  })
  return { object, entries: shortened(target, old, entries) }
}

/** Whoever alone owned the status still does: an apply beside it is no reason to spell it out. */
function shortened({ kind }: Target, old: KubeObject, entries: readonly Entry[]): readonly Entry[] {
  const whole = readEntries(old.metadata.managedFields).find(
    ({ fields, subresource }) => fields === undefined && subresource === 'status',
  )
  if (!whole || !kind.hasStatus) return entries
  const before = spelledOut(kind, old, [whole])[0]
  return entries.map((entry) =>
    before && isSame(entry, before) && equal(entry.fields, before.fields) ? whole : entry,
  )
}

/** The managers of an object that is applied to; one that nobody was kept of has its first from before. */
function managersOf(target: Target, old: KubeObject, nowMs: number): readonly Entry[] {
  const entries = readEntries(old.metadata.managedFields)
  const schema = wholeSchema(target.kind)
  if (entries.length > 0)
    return spelledOut(target.kind, old, entries).map((entry) => ({
      ...entry,
      fields: reconciled(schema, old, entry.fields ?? leaf),
    }))
  if (old.metadata.uid === undefined) return []
  const { kind } = target
  const { rest, status } = createdTrees(wholeSchema(kind), old, kind.flavour === 'builtin')
  return [
    {
      ...managerOf(target),
      manager: beforeFirstApply,
      subresource: '',
      time: rfc3339(nowMs),
      fields: union(rest, status),
    },
  ]
}

async function applyScale(target: Target, old: KubeObject, config: Fields): Promise<ApiResponse> {
  const { kind, request, machinery } = target
  const { scale } = kind
  if (!scale) throw unknownResource()
  const next = withScale(target, old, config)
  // The replicas are one field of the object, wherever it is: the one that differs between two scales.
  const field = ownable(
    changes(wholeSchema(kind), scale.withReplicas(old, 0), scale.withReplicas(old, 1)).changed,
  )
  const { metadata, ...rest } = next
  const nowMs = machinery.clock.now()
  const { entries } = applied({
    schema: wholeSchema(kind),
    kind,
    live: { ...old, metadata: without(old.metadata, 'managedFields') },
    entries: managersOf(target, old, nowMs),
    config: onlyIn(field, rest),
    manager: managerOf(target, 'Apply'),
    force: request.options.force ?? false,
    nowMs,
  })
  const { object, writes } = commitUpdate(target, old, { ...rest, metadata }, entries)
  await settled(target, ...writes)
  return answerBody(target, 200, scaleOf(scale, object))
}

/** The part of a value that a set of fields names. */
function onlyIn(set: Readonly<Record<string, unknown>>, value: unknown): Fields {
  const part: Record<string, unknown> = {}
  if (!isRecord(value)) return part
  for (const [element, below] of Object.entries(set)) {
    const name = element.slice(2)
    if (!element.startsWith('f:') || value[name] === undefined) continue
    part[name] =
      isRecord(below) && Object.keys(below).length > 0
        ? onlyIn({ ...below }, value[name])
        : value[name]
  }
  return part
}

/** The body as a configuration: of this type, without managers, only with fields that there are. */
function readConfig(target: Target, isScale: boolean): Fields {
  const { body, duplicateFields = [], options } = target.request
  const { kind, warn } = target
  if (!isRecord(body))
    throw badRequest(
      'error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal into Go value of type map[string]interface {}',
    )
  const { fieldValidation = 'Warn' } = options
  if (duplicateFields.length > 0 && fieldValidation !== 'Ignore') {
    const complaints = duplicateFields.map(
      (path) => `key ${JSON.stringify(path.split('.').at(-1))} already set in map`,
    )
    if (fieldValidation === 'Strict')
      throw badRequest(
        `error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  ${complaints.join('\n  ')}`,
      )
    for (const complaint of complaints) warn(complaint)
  }
  const { apiVersion, kind: said, metadata } = body
  const expected = isScale ? 'autoscaling/v1' : apiVersionOfTarget(target)
  const expectedKind = isScale ? 'Scale' : kind.kind
  if (
    typeof apiVersion !== 'string' ||
    typeof said !== 'string' ||
    apiVersion === '' ||
    said === ''
  )
    throw badRequest(`invalid object type: ${gvk(apiVersion, said)}`)
  if (apiVersion !== expected)
    throw badRequest(
      `Incorrect version specified in apply patch. Specified patch version: ${apiVersion}, expected: ${expected}`,
    )
  if (said !== expectedKind)
    throw badRequest(
      `the kind in the data (${said}) does not match the expected kind (${expectedKind})`,
    )
  if (metadata !== undefined && metadata !== null && !isRecord(metadata))
    throw badRequest('metadata must be a map')
  if (
    isRecord(metadata) &&
    metadata['managedFields'] !== undefined &&
    metadata['managedFields'] !== null
  )
    throw badRequest('metadata.managedFields must be nil')
  if (isScale) return body
  const problems = configProblems(wholeSchema(kind, target.version), body)
  if (problems.length > 0)
    throw new StatusError(
      'InternalError',
      `failed to create typed patch object (${target.namespace}/${target.name}; ${apiVersion}, Kind=${said}): ${
        problems.length === 1
          ? problems[0]
          : `errors:\n${problems.map((each) => `  ${each}`).join('\n')}`
      }`,
    )
  return ownPart(target, { ...body, metadata: metadata ?? {} })
}

/** Group, version and kind as Go prints them: `apps/v1, Kind=Deployment`, `/, Kind=` for nothing. */
function gvk(apiVersion: unknown, kind: unknown): string {
  const text = typeof apiVersion === 'string' ? apiVersion : ''
  return `${text.includes('/') ? text : `/${text}`}, Kind=${typeof kind === 'string' ? kind : ''}`
}

/** What this endpoint writes of a configuration: status is a writer of its own. */
function ownPart({ kind, subresource }: Target, config: Fields): Fields {
  if (!kind.hasStatus) return config
  if (subresource === '') return without(config, 'status')
  if (subresource !== 'status') return config
  const { apiVersion, kind: said, metadata, status } = config
  const { name, namespace, uid, resourceVersion } = isRecord(metadata) ? metadata : {}
  return {
    apiVersion,
    kind: said,
    metadata: {
      ...(name !== undefined && { name }),
      ...(namespace !== undefined && { namespace }),
      ...(uid !== undefined && { uid }),
      ...(resourceVersion !== undefined && { resourceVersion }),
    },
    ...(status !== undefined && { status }),
  }
}
