/**
 * SinkBinding: brings its variables to subjects that were there before it, or before its sink, and takes them back in the
 * end (contract eventing §2.15, 6.2). New subjects get them in the moment they are stored (admission.ts).
 */
import { finish } from '../../../knative/conditions.ts'
import { createTracker } from '../../../knative/tracker.ts'
import { keyOf, type KubeObject } from '../../../kube/api/meta.ts'
import { selectorMatcher } from '../../../kube/api/selectors.ts'
import type { Kind } from '../../../kube/api/kind.ts'
import type { Patch, Reader, Reconciler } from '../../../kube/controller/reconciler.ts'
import { destinationIn } from '../../api/destination.ts'
import {
  SinkBinding,
  sinkBindingConditions as conditions,
  type SinkBindingStatus,
} from '../../api/sink-binding.ts'
import { withoutIdentity } from '../marks.ts'
import { addressableKinds, isResolved, resolve, targetOf, type Resolution } from '../resolver.ts'
import { sinkNotFound, withSink } from '../source/sink.ts'
import { sinkVariables, withVariables } from './environment.ts'
import { isFixed, podspecableKinds, subjectKind, type Podspecable } from './podspecable.ts'

export interface World {
  readonly binding: SinkBinding
  readonly sink: Resolution
  /** Undefined = subjects of such a kind can't be bound. */
  readonly kind: Kind<Podspecable> | undefined
  readonly subjects: readonly Podspecable[]
}

export const sinkBindingReconciler = (): Reconciler<SinkBinding, World> => {
  const tracker = createTracker()
  const sinks = addressableKinds.map((kind) => ({
    kind,
    wake: (changed: KubeObject) => tracker.observers(changed),
  }))
  return {
    name: 'sinkbinding-controller',
    kind: SinkBinding,
    finalizer: 'sinkbindings.sources.knative.dev',
    watches: [
      ...sinks.filter(({ kind }) => !podspecableKinds.some((each) => isSame(each, kind))),
      ...podspecableKinds.map((kind) => ({
        kind: kind as Kind,
        wake: (changed: KubeObject, read: Reader) => [
          ...tracker.observers(changed),
          ...bindingsOf(kind, changed, read),
        ],
      })),
    ],

    observe(binding, read) {
      const key = keyOf(binding)
      const { subject = {} } = binding.spec
      const sink = destinationIn(binding.spec.sink, key.namespace)
      const kind = subjectKind(subject)
      tracker.track(key, targetOf(sink, key.namespace))
      const matches = subject.selector && selectorMatcher(subject.selector)
      const subjects = !kind
        ? []
        : matches
          ? read.list(kind, key.namespace).filter(({ metadata }) => matches(metadata.labels))
          : [read.get(kind, { ...key, name: subject.name ?? '' })].filter(
              (each) => each !== undefined,
            )
      return { binding, kind, subjects, sink: resolve(sink ?? {}, key.namespace, read) }
    },

    plan({ binding, sink, kind, subjects }, nowMs) {
      const { generation = 0 } = binding.metadata
      const { subject = {}, ceOverrides } = binding.spec
      let status: SinkBindingStatus = conditions.begin(binding.status ?? {}, generation, nowMs)
      status = withoutIdentity(status, conditions, nowMs)
      status = conditions.markTrueWithReason(
        status,
        'OIDCTokenSecretCreated',
        'authentication-oidc feature disabled',
        '',
        nowMs,
      )
      status = conditions.markTrue(status, 'TrustBundlePropagated', nowMs)
      status = withSink(status, sink, conditions, nowMs)
      const patch =
        kind && isResolved(sink) ? patches(kind, subjects, sinkVariables(sink, ceOverrides)) : []
      if (!kind)
        status = conditions.markFalse(
          status,
          'SinkBindingAvailable',
          'SubjectUnavailable',
          `objects of kind ${subject.kind} (${subject.apiVersion}) have no pod template at spec.template that is known here; bound are ${podspecableKinds.map((each) => each.kind).join(', ')}`,
          nowMs,
        )
      else if (subjects.length === 0 && !subject.selector)
        status = conditions.markFalse(
          status,
          'SinkBindingAvailable',
          'SubjectMissing',
          `${kind.plural}.${kind.group} "${subject.name}" not found`,
          nowMs,
        )
      else if (isResolved(sink)) status = conditions.markTrue(status, 'SinkBindingAvailable', nowMs)
      return {
        patch,
        status: finish(status, binding.status, generation, nowMs),
        statusOnFailure: ({ message }) =>
          finish(
            conditions.markFalse(status, 'SinkBindingAvailable', 'BindingFailed', message, nowMs),
            binding.status,
            generation,
            nowMs,
          ),
        events: sinkNotFound(binding.spec.sink, sink, binding.status),
      }
    },

    finalize: ({ kind, subjects }) => ({
      patch: kind ? patches(kind, subjects, []) : [],
      done: true,
    }),

    gone(key) {
      tracker.forget(key)
      return {}
    },
  }
}

const isSame = (a: Kind, b: Kind): boolean => a.group === b.group && a.kind === b.kind

/** Those that name or select the changed object. */
const bindingsOf = (kind: Kind<Podspecable>, changed: KubeObject, read: Reader) =>
  read
    .list(SinkBinding, changed.metadata.namespace ?? '')
    .filter(({ spec }) => {
      const { subject = {} } = spec
      if (subjectKind(subject) !== kind) return false
      return subject.selector
        ? selectorMatcher(subject.selector)(changed.metadata.labels)
        : subject.name === changed.metadata.name
    })
    .map(keyOf)

/** Nothing for those that have them, or that can not be changed any more. */
function patches(
  kind: Kind<Podspecable>,
  subjects: readonly Podspecable[],
  variables: ReturnType<typeof sinkVariables>,
): readonly Patch[] {
  if (isFixed(kind)) return []
  return subjects.flatMap((subject): readonly Patch[] => {
    const pod = subject.spec?.template?.spec
    if (!pod || subject.metadata.deletionTimestamp) return []
    const bound = withVariables(pod, variables)
    if (bound === pod) return []
    const { containers, initContainers } = bound
    return [
      {
        kind,
        key: keyOf(subject),
        body: {
          // Lists are replaced whole: somebody else may have changed them meanwhile.
          metadata: { resourceVersion: subject.metadata.resourceVersion },
          spec: { template: { spec: { containers, ...(initContainers && { initContainers }) } } },
        },
      },
    ]
  })
}
