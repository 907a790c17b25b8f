/** What the kinds that run copies of a pod template share: selector rules, the `scale` subresource. */
import type { ScaleSubresource } from './kind.ts'
import type { KubeObject } from './meta.ts'
import type { PodTemplateSpec } from './pod-spec.ts'
import { selectorMatcher, selectorText, type LabelSelector } from './selectors.ts'
import {
  canonicalJson,
  notNegative,
  required,
  sameJson,
  wrong,
  type Complaints,
} from './validation.ts'

export interface Workload extends KubeObject {
  readonly spec: {
    readonly replicas?: number
    readonly selector?: LabelSelector
    readonly template?: PodTemplateSpec
    readonly minReadySeconds?: number
  }
  readonly status?: { readonly replicas?: number }
}

const isEmpty = ({ matchLabels = {}, matchExpressions = [] }: LabelSelector): boolean =>
  Object.keys(matchLabels).length === 0 && matchExpressions.length === 0

/** Complaints about selector, template labels and counts; `what` is the kind's name in messages. */
export function* workloadProblems(
  { spec }: Workload,
  what: string,
  old: Workload | undefined,
): Complaints {
  yield* notNegative('spec.replicas', spec.replicas)
  yield* notNegative('spec.minReadySeconds', spec.minReadySeconds)
  const { selector } = spec
  if (selector === undefined) yield required('spec.selector')
  else if (isEmpty(selector))
    yield wrong('spec.selector', selector, `empty selector is invalid for ${what}`)
  else {
    const operators = (selector.matchExpressions ?? []).map(({ operator }) => operator)
    const unknown = operators.find((each) => !knownOperators.has(each))
    const labels = spec.template?.metadata?.labels ?? {}
    if (unknown !== undefined)
      yield wrong('spec.selector.matchExpressions', unknown, 'not a valid selector operator')
    else if (!selectorMatcher(selector)(labels))
      yield wrong(
        'spec.template.metadata.labels',
        labels,
        '`selector` does not match template `labels`',
      )
  }
  if (spec.template === undefined) yield required('spec.template')
  if (old && selector && !sameJson(selector, old.spec.selector))
    yield {
      reason: 'FieldValueInvalid',
      field: 'spec.selector',
      detail: `Invalid value: ${canonicalJson(selector)}: field is immutable`,
    }
}

const knownOperators = new Set(['In', 'NotIn', 'Exists', 'DoesNotExist'])

/** The `scale` subresource by `spec.replicas`, `status.replicas` and `spec.selector`. */
export const workloadScale = <T extends Workload>(): ScaleSubresource<T> => ({
  replicas: ({ spec }) => spec.replicas ?? 1,
  withReplicas: (object, replicas) => ({ ...object, spec: { ...object.spec, replicas } }),
  statusReplicas: ({ status }) => status?.replicas ?? 0,
  selector: ({ spec }) => (spec.selector ? selectorText(spec.selector) : ''),
})

/** A selector as a wide column shows it. */
export const selectorCell = ({ spec }: Workload): string =>
  spec.selector ? selectorText(spec.selector) || '<none>' : '<none>'
