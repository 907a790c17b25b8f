/**
 * SinkBinding: brings its variables to subjects that were there before it, or before its sink, and takes them back in
 * the end (knative.dev/eventing `pkg/reconciler/sinkbinding`). New subjects get them in the moment they are stored
 * (admission.ts).
 */
import { finish } from '../../../../knative/conditions.ts'
import { createTracker } from '../../../../knative/tracker.ts'
import { ConfigMap } from '../../../../kube/api/config-map.ts'
import { keyOf, keyText, type KubeObject, type ObjectKey } from '../../../../kube/api/meta.ts'
import { selectorMatcher } from '../../../../kube/api/selectors.ts'
import type { Kind } from '../../../../kube/api/kind.ts'
import { groupOf } from '../../../../kube/controller/custom-kinds.ts'
import { Secret } from '../../../../kube/api/secret.ts'
import { Namespace } from '../../../../kube/api/namespace.ts'
import type { Patch, Reader, Reconciler } from '../../../../kube/controller/reconciler.ts'
import { destinationIn } from '../../../api/duck/destination.ts'
import {
  SinkBinding,
  sinkBindingConditions as conditions,
  type SinkBindingStatus,
} from '../../../api/sources/sink-binding.ts'
import {
  identityFor,
  identityWatches,
  identityWrites,
  withIdentity,
  type Identity,
} from '../../identity/identity.ts'
import type { Tokens } from '../../identity/tokens.ts'
import {
  destinationKinds,
  isResolved,
  resolve,
  targetOf,
  type Resolution,
} from '../../destination/resolver.ts'
import {
  bundleCopy,
  bundleCopyName,
  isTrustBundle,
  trustBundle,
} from '../../transport/trust-bundle.ts'
import { sinkNotFound, withSink } from '../sink.ts'
import { withAvailability, type Subjects } from './availability.ts'
import { sinkVariables, unbound, withBinding, type Bound } from './environment.ts'
import {
  isFixed,
  isSubjectOf,
  podOf,
  podspecableKinds,
  subjectKind,
  type Podspecable,
} from './podspecable.ts'
import {
  isWaiting,
  tokenSecretFor,
  tokenSecretWrites,
  withTokenSecret,
  type TokenSecret,
} from './token-secret.ts'
import { areSiblings, isLeftAlone, type SelectionMode } from './selection.ts'

export interface World extends Omit<Subjects, 'subject'> {
  readonly binding: SinkBinding
  readonly sink: Resolution
  readonly kind: Kind<Podspecable> | undefined
  readonly identity: Identity
  readonly tokenSecret: TokenSecret
  /** Certificates that pods are to trust, PEM. */
  readonly trusted: string | undefined
  /** The ConfigMap that they have them from. */
  readonly copy: ConfigMap | undefined
}

export const sinkBindingReconciler = (
  mode: SelectionMode = 'exclusion',
  tokens?: Pick<Tokens, 'of' | 'onChange'>,
): Reconciler<SinkBinding, World> => {
  const tracker = createTracker()
  /** Those whose pods need tokens. */
  const sending = new Map<string, ObjectKey>()
  const sinks = destinationKinds.map((kind) => ({
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
          ...bindingsOf(changed, read),
        ],
      })),
      ...identityWatches(SinkBinding),
      { kind: Secret, wake: 'owner' },
      {
        kind: ConfigMap,
        wake: (changed: KubeObject, read: Reader) =>
          isTrustBundle(changed) ? read.list(SinkBinding, '').map(keyOf) : [],
      },
      {
        kind: Namespace,
        wake: ({ metadata }: KubeObject, read: Reader) =>
          read.list(SinkBinding, metadata.name).map(keyOf),
      },
    ],
    customKinds: (changed, read) => [...tracker.observers(changed), ...bindingsOf(changed, read)],

    observe(binding, read) {
      const key = keyOf(binding)
      const { subject = {} } = binding.spec
      const sink = destinationIn(binding.spec.sink, key.namespace)
      const kind = subjectKind(subject, read)
      tracker.track(key, targetOf(sink, key.namespace))
      const matches = subject.selector && selectorMatcher(subject.selector)
      const namespace = read.get(Namespace, { namespace: '', name: key.namespace })
      const meant = !kind
        ? []
        : matches
          ? read.list(kind, key.namespace).filter(({ metadata }) => matches(metadata.labels))
          : [read.get(kind, { ...key, name: subject.name ?? '' })].filter(
              (each) => each !== undefined,
            )
      const subjects = meant.filter((each) => !isLeftAlone(mode, binding, each, namespace))
      const someLeftAlone = subjects.length < meant.length
      const resolved = resolve(sink ?? {}, key.namespace, read)
      const identity = identityFor(SinkBinding, binding, read)
      const tokenSecret = tokenSecretFor(binding, resolved, identity, read, tokens)
      if (tokenSecret.wanted) sending.set(keyText(key), key)
      else sending.delete(keyText(key))
      return {
        binding,
        kind,
        subjects,
        someLeftAlone,
        sink: resolved,
        identity,
        tokenSecret,
        trusted: trustBundle(read),
        copy: read.get(ConfigMap, { ...key, name: bundleCopyName }),
      }
    },

    plan(world, nowMs) {
      const { binding, sink, kind, subjects, identity, tokenSecret, trusted, copy } = world
      const { generation = 0 } = binding.metadata
      const { subject = {}, ceOverrides } = binding.spec
      let status: SinkBindingStatus = conditions.begin(binding.status ?? {}, generation, nowMs)
      status = withIdentity(status, identity, conditions, nowMs)
      status = withTokenSecret(status, tokenSecret, conditions, nowMs)
      status = conditions.markTrue(status, 'TrustBundlePropagated', nowMs)
      status = withSink(status, sink, conditions, nowMs)
      const bound = isResolved(sink)
        ? {
            variables: sinkVariables(sink, ceOverrides),
            tokenSecret: status.oidcTokenSecretName,
            trustBundle: trusted && bundleCopyName,
          }
        : unbound
      // Pods that started without a token could not send: they get all at once.
      const patch =
        kind && isResolved(sink) && !isWaiting(tokenSecret) ? patches(kind, subjects, bound) : []
      // Without a sink that is the one thing to say.
      if (isResolved(sink))
        status = withAvailability(status, { ...world, subject }, bound, mode, nowMs)
      const ofAccount = identityWrites(identity)
      const ofSecret = tokenSecretWrites(tokenSecret)
      return {
        apply: [
          ...ofAccount.apply,
          ...ofSecret.apply,
          ...(trusted === undefined
            ? []
            : [{ kind: ConfigMap, desired: bundleCopy(binding, trusted) }]),
        ],
        delete: [
          ...ofSecret.delete,
          ...ofAccount.delete,
          ...(copy && trusted === undefined ? [{ kind: ConfigMap, key: keyOf(copy) }] : []),
        ],
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

    finalize: ({ binding, kind, subjects }) => ({
      // What goes together with its binding is not rolled out once more before.
      patch: kind
        ? patches(
            kind,
            subjects.filter((each) => !areSiblings(each, binding)),
            unbound,
          )
        : [],
      done: true,
    }),

    gone(key) {
      tracker.forget(key)
      sending.delete(keyText(key))
      return {}
    },

    connect: (wake) =>
      tokens?.onChange(() => {
        for (const key of sending.values()) wake(key)
      }) ?? { [Symbol.dispose]() {} },
  }
}

const isSame = (a: Kind, b: Kind): boolean => a.group === b.group && a.kind === b.kind

/** Those that name or select the changed object. */
const bindingsOf = (changed: KubeObject, read: Reader) =>
  read
    .list(SinkBinding, changed.metadata.namespace ?? '')
    .filter(({ spec }) => {
      const { subject = {} } = spec
      const { apiVersion, kind, metadata } = changed
      if (!isSubjectOf(subject, { group: groupOf(apiVersion), kind })) return false
      return subject.selector
        ? selectorMatcher(subject.selector)(metadata.labels)
        : subject.name === metadata.name
    })
    .map(keyOf)

/** Nothing for those that have them, or that can not be changed any more. */
function patches(
  kind: Kind<Podspecable>,
  subjects: readonly Podspecable[],
  wanted: Bound,
): readonly Patch[] {
  if (isFixed(kind)) return []
  return subjects.flatMap((subject): readonly Patch[] => {
    const pod = podOf(subject)
    if (!pod || subject.metadata.deletionTimestamp) return []
    const bound = withBinding(pod, wanted)
    if (bound === pod) return []
    const { containers, initContainers, volumes } = bound
    return [
      {
        kind,
        key: keyOf(subject),
        body: {
          // Lists are replaced whole: somebody else may have changed them meanwhile.
          metadata: { resourceVersion: subject.metadata.resourceVersion },
          spec: {
            template: {
              spec: {
                containers,
                ...(initContainers && { initContainers }),
                ...(volumes !== pod.volumes && { volumes: volumes ?? null }),
              },
            },
          },
        },
      },
    ]
  })
}
