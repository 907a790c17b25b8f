/** EventPolicy: who may send events to what (eventing.knative.dev/v1alpha1). */
import { admission } from '../../../knative/admission.ts'
import { conditionSet } from '../../../knative/conditions.ts'
import { readyColumns } from '../../../knative/columns.ts'
import {
  genericError,
  invalidValue,
  missingField,
  missingOneOf,
  multipleOneOf,
  via,
  type FieldError,
} from '../../../knative/field-error.ts'
import { statusFields } from '../../../knative/status.ts'
import type { AdmissionContext, KindDefinition } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import { list, map, object, string, type Static } from '../../../kube/api/schema.ts'
import { sameJson } from '../../../kube/api/validation.ts'
import { featuresOf } from '../config/read.ts'
import { withUserInfo } from '../admission/metadata.ts'
import { definitionLabels, eventingGroup, validationWebhook } from '../names.ts'
import { filterSchema, validateFilters } from './trigger-filter.ts'

const ToReference = object({ apiVersion: string(), kind: string(), name: string() })

/** Objects by labels, of one kind. */
const ToSelector = object({
  apiVersion: string(),
  kind: string(),
  matchLabels: map(string()),
  matchExpressions: list(object({ key: string(), operator: string(), values: list(string()) })),
})

const FromReference = object({
  apiVersion: string(),
  kind: string(),
  name: string(),
  namespace: string({ description: 'Its own when absent.' }),
})

export const EventPolicySpec = object({
  to: list(object({ ref: ToReference, selector: ToSelector }), {
    description: 'What it holds for; everything of the namespace when empty.',
  }),
  from: list(
    object({
      ref: FromReference,
      sub: string({ description: 'The subject of a token; * at its end stands for anything.' }),
    }),
    { description: 'Who may send.' },
  ),
  filters: list(filterSchema, { description: 'Which events they may send; all of them match.' }),
})
export type EventPolicySpec = Static<typeof EventPolicySpec>

export const EventPolicyStatus = object({
  ...statusFields,
  from: list(string(), { description: 'The subjects that may send.' }),
})
export type EventPolicyStatus = Static<typeof EventPolicyStatus>

export interface EventPolicy extends KubeObject {
  readonly spec: EventPolicySpec
  readonly status?: EventPolicyStatus
}

const withDefaults = (policy: EventPolicy): EventPolicy => {
  const { spec, metadata } = policy
  const { namespace = '' } = metadata
  return {
    ...policy,
    spec: {
      ...spec,
      ...(spec?.from && {
        from: spec.from.map((each) =>
          each.ref
            ? { ...each, ref: { ...each.ref, namespace: each.ref.namespace || namespace } }
            : each,
        ),
      }),
    },
  }
}

function defaults(sent: EventPolicy, context: AdmissionContext<EventPolicy>): EventPolicy {
  const policy = withDefaults(sent)
  const { old } = context
  const changed = !old || !sameJson(policy.spec, withDefaults(old).spec)
  return withUserInfo(policy, eventingGroup, context, changed)
}

function* validate(
  { spec }: EventPolicy,
  context: AdmissionContext<EventPolicy>,
): Generator<FieldError> {
  const { old } = context
  if (!featuresOf(context).authenticationOidc && (!old || !sameJson(old.spec, spec))) {
    yield genericError('oidc-authentication feature not enabled')
    return
  }
  for (const [i, { ref, sub }] of (spec.from ?? []).entries())
    yield* via(`spec.from[${i}]`, validateFrom(ref, sub))
  for (const [i, { ref, selector }] of (spec.to ?? []).entries())
    yield* via(`spec.to[${i}]`, validateTo(ref, selector))
  yield* via('spec.filters', validateFilters(spec.filters ?? []))
}

function* validateFrom(
  ref: Static<typeof FromReference> | undefined,
  sub: string | undefined,
): Generator<FieldError> {
  if (!ref && !sub) yield missingOneOf('ref', 'sub')
  if (ref && sub) yield multipleOneOf('ref', 'sub')
  if (ref) yield* via('ref', validateNamed(ref))
  const star = sub?.indexOf('*') ?? -1
  if (sub && star !== -1 && star !== sub.length - 1)
    yield invalidValue(sub, 'sub', "'*' is only allowed as suffix")
}

function* validateTo(
  ref: Static<typeof ToReference> | undefined,
  selector: Static<typeof ToSelector> | undefined,
): Generator<FieldError> {
  if (!ref && !selector) yield missingOneOf('ref', 'selector')
  if (ref && selector) yield multipleOneOf('ref', 'selector')
  if (ref) yield* via('ref', validateNamed(ref))
  if (!selector) return
  for (const field of ['apiVersion', 'kind'] as const)
    if (!selector[field]) yield missingField(`selector.${field}`)
}

function* validateNamed(ref: Static<typeof ToReference>): Generator<FieldError> {
  for (const field of ['apiVersion', 'kind', 'name'] as const)
    if (!ref[field]) yield missingField(field)
}

export const eventPolicyConditions = conditionSet({
  dependents: ['AuthenticationEnabled', 'SubjectsResolved'],
})

export const EventPolicy: KindDefinition<EventPolicy> = {
  group: eventingGroup,
  version: 'v1alpha1',
  kind: 'EventPolicy',
  plural: 'eventpolicies',
  singular: 'eventpolicy',
  categories: ['all', 'knative', 'eventing'],
  namespaced: true,
  flavour: 'custom',
  hasStatus: true,
  hasGeneration: true,
  description: 'Says who may send events to what.',
  definition: { labels: definitionLabels.plain },
  admit: admission({ webhook: validationWebhook, defaults, validate }),
  schema: object({ spec: EventPolicySpec, status: EventPolicyStatus }),
  columns: [...readyColumns],
}
