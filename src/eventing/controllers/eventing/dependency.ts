/**
 * The annotation knative.dev/dependency: a source that a Trigger waits for (knative.dev/eventing
 * `pkg/reconciler/broker/trigger`).
 */
import { referredKind } from '../destination/resolver.ts'
import { followedKinds } from '../destination/followed-kinds.ts'
import { conditionOf, type ConditionedObject } from '../../../knative/conditions.ts'
import { isFields, textOf } from '../../../knative/old-form.ts'
import type { Target } from '../../../knative/tracker.ts'
import type { Reader } from '../../../kube/controller/reconciler.ts'

export interface DependencyReference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
}

export interface Dependency {
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason: string
  readonly message: string
}

/** Undefined = there is none; null = it can not be read, though admission looks at it. */
export function dependencyOf(text: string | undefined): DependencyReference | undefined | null {
  if (text === undefined) return undefined
  try {
    const value: unknown = JSON.parse(text)
    if (!isFields(value)) return null
    const { apiVersion, kind, name } = value
    return { apiVersion: textOf(apiVersion), kind: textOf(kind), name: textOf(name) }
  } catch {
    return null
  }
}

/** What to look at. */
export const dependencyTarget = (
  reference: DependencyReference | undefined | null,
  namespace: string,
): readonly Target[] =>
  reference ? [{ kind: reference.kind, namespace, name: reference.name }] : []

const unknown = (reason: string, message: string): Dependency => ({
  status: 'Unknown',
  reason,
  message,
})

export function dependencyState(
  reference: DependencyReference | undefined | null,
  namespace: string,
  read: Pick<Reader, 'get' | 'custom'>,
): Dependency {
  if (reference === undefined) return { status: 'True', reason: '', message: '' }
  if (reference === null)
    return {
      status: 'False',
      reason: 'ReferenceError',
      message: 'Unable to unmarshal objectReference from dependency annotation of trigger',
    }
  const { apiVersion, kind: kindName, name } = reference
  const kind = referredKind(reference, followedKinds) ?? read.custom?.(reference)
  if (!kind)
    return unknown(
      'ListerDoesNotExist',
      `Failed to retrieve lister: objects of kind ${kindName} (${apiVersion}) are not followed here`,
    )
  const found = read.get(kind, { namespace, name }) as ConditionedObject | undefined
  if (!found)
    return {
      status: 'False',
      reason: 'DependencyDoesNotExist',
      message: `Dependency does not exist: ${kind.plural}${kind.group ? `.${kind.group}` : ''} "${name}" not found`,
    }
  const { generation } = found.metadata
  const observed = found.status?.observedGeneration
  if (generation !== undefined && observed !== undefined && generation !== observed)
    return unknown(
      'GenerationNotEqual',
      `The dependency's metadata.generation, "${generation}", is not equal to its status.observedGeneration, "${observed}".`,
    )
  const ready = conditionOf(found.status, 'Ready')
  if (!ready) return unknown('DependencyNotConfigured', 'Dependency has not yet been reconciled.')
  const { status, reason = '', message = '' } = ready
  return { status, reason, message }
}
