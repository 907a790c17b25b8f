/**
 * ApiServerSource: what it follows and where its events go; `sources/api-server/` follows (knative.dev/eventing
 * `pkg/reconciler/apiserversource`). It is Ready when its watches run, so a change made after that is an event.
 */
import { conditionOf, finish } from '../../../../knative/conditions.ts'
import { createTracker } from '../../../../knative/tracker.ts'
import { groupKind, type Kind } from '../../../../kube/api/kind.ts'
import { keyOf, type KubeObject, type ObjectKey } from '../../../../kube/api/meta.ts'
import { CustomResourceDefinition } from '../../../../kube/api/custom-resource-definition.ts'
import { Namespace } from '../../../../kube/api/namespace.ts'
import { selectorMatcher, selectorText } from '../../../../kube/api/selectors.ts'
import type { PlannedEvent, Reader, Reconciler } from '../../../../kube/controller/reconciler.ts'
import {
  apiServerSourceConditions as conditions,
  type ApiServerSource,
  type ApiServerSourceStatus,
} from '../../../api/sources/api-server-source.ts'
import type { Source } from '../../../api/duck/source-spec.ts'
import { destinationIn } from '../../../api/duck/destination.ts'
import type {
  FollowState,
  Followers,
  Resource,
  Tell,
  Wish,
} from '../../../sources/api-server/follow.ts'
import {
  identityFor,
  identityWatches,
  identityWrites,
  withIdentity,
  type Identity,
} from '../../identity/identity.ts'
import {
  destinationKinds,
  isResolved,
  resolve,
  targetOf,
  type Resolution,
} from '../../destination/resolver.ts'
import { sinkNotFound, withSink } from '../sink.ts'
import { isDefinedBy, resourceOf } from './resources.ts'

export interface World {
  readonly source: ApiServerSource
  readonly sink: Resolution
  readonly namespaces: readonly string[]
  readonly state: FollowState
  readonly identity: Identity
}

/** URL of the API as programs in pods know it. */
export const apiServerUrl = 'https://10.96.0.1:443'

/** Rights are not asked for before it begins. */
const uncheckedAnnotation = 'features.knative.dev/apiserversource-skip-permissions-check'

/** A kind of sources that follow objects: today's, or one of before. */
export interface Form<T extends Source> {
  readonly kind: Kind<T>
  readonly modern: (source: T) => ApiServerSource
  /** Of the events that come of it. */
  readonly types: (source: ApiServerSource) => readonly string[]
}

export interface ApiServerSourceDeps {
  readonly followers: Followers
  /** What is done with a change that this source follows. */
  readonly tell: (source: ApiServerSource, sink: Resolution) => Tell
}

export const apiServerSourceReconciler = <T extends Source>(
  { kind, modern, types }: Form<T>,
  { followers, tell }: ApiServerSourceDeps,
): Reconciler<T, World> => {
  const tracker = createTracker()
  return {
    name: 'apiserversource-controller',
    kind,
    watches: [
      ...identityWatches(kind),
      ...destinationKinds.map((each) => ({
        kind: each,
        wake: (changed: KubeObject) => tracker.observers(changed),
      })),
      {
        kind: Namespace,
        wake: (_changed: KubeObject, read: Reader) =>
          read
            .list(kind, '')
            .filter((each) => modern(each).spec.namespaceSelector)
            .map(keyOf),
      },
      {
        // What its objects are called, and whether they are in namespaces.
        kind: CustomResourceDefinition,
        wake: (definition: KubeObject, read: Reader) =>
          read
            .list(kind, '')
            .filter((each) =>
              modern(each).spec.resources?.some((one) => isDefinedBy(definition, one)),
            )
            .map(keyOf),
      },
    ],
    customKinds: (changed) => tracker.observers(changed),

    observe(found, read) {
      const source = modern(found)
      const key = keyOf(source)
      const wanted = destinationIn(source.spec.sink, key.namespace)
      tracker.track(key, targetOf(wanted, key.namespace))
      const sink = resolve(wanted ?? {}, key.namespace, read)
      const namespaces = namespacesOf(source, read)
      const following = isResolved(sink) && !source.metadata.deletionTimestamp
      const resources = (source.spec.resources ?? []).map((each) => resourceOf(each, read))
      followers.follow(
        followed(kind, key),
        following ? wishOf(source, isEverywhere(source) ? [''] : namespaces, resources) : undefined,
        tell(source, sink),
      )
      return {
        source,
        sink,
        namespaces,
        state: followers.stateOf(followed(kind, key)),
        identity: identityFor(kind, source, read),
      }
    },

    plan({ source, sink, namespaces, state, identity }, nowMs) {
      const { generation = 0 } = source.metadata
      let status: ApiServerSourceStatus = conditions.begin(source.status ?? {}, generation, nowMs)
      status = withSink(status, sink, conditions, nowMs)
      status = withIdentity(status, identity, conditions, nowMs)
      status = {
        ...status,
        namespaces,
        ceAttributes: types(source).map((type) => ({ type, source: apiServerUrl })),
      }
      if (isResolved(sink)) status = withState(status, state, nowMs)
      return {
        ...identityWrites(identity),
        status: finish(status, source.status, generation, nowMs),
        events: [
          ...sinkNotFound(source.spec.sink, sink, source.status),
          ...insufficient(state, source.status),
        ],
      }
    },

    gone(key) {
      tracker.forget(key)
      followers.forget(followed(kind, key))
      return {}
    },

    connect: (wake) =>
      followers.onState(({ namespace, name }) => {
        const prefix = followed(kind, { namespace, name: '' }).name
        if (name.startsWith(prefix)) wake({ namespace, name: name.slice(prefix.length) })
      }),
  }
}

/** Several kinds may have sources of one name. */
const followed = (kind: Kind, { namespace, name }: ObjectKey): ObjectKey => ({
  namespace,
  name: `${groupKind(kind)}/${name}`,
})

function withState(
  status: ApiServerSourceStatus,
  state: FollowState,
  nowMs: number,
): ApiServerSourceStatus {
  const permissions = 'SufficientPermissions'
  switch (state.kind) {
    case 'forbidden':
      return conditions.markFalse(
        conditions.markUnknown(status, 'Deployed', '', '', nowMs),
        permissions,
        '',
        state.missing,
        nowMs,
      )
    case 'failed':
      return conditions.markFalse(
        conditions.markTrue(status, permissions, nowMs),
        'Deployed',
        'WatchFailed',
        state.problem,
        nowMs,
      )
    case 'following':
      return conditions.markTrue(conditions.markTrue(status, permissions, nowMs), 'Deployed', nowMs)
    case 'starting': {
      const known = conditionOf(status, 'Deployed')?.status === 'True'
      // A change of what is followed starts it anew, in a moment.
      return known
        ? status
        : conditions.markUnknown(status, 'Deployed', 'Starting', 'the watches begin', nowMs)
    }
  }
}

/** Told once, when it is so. */
function insufficient(
  state: FollowState,
  before: ApiServerSourceStatus | undefined,
): readonly PlannedEvent[] {
  if (state.kind !== 'forbidden') return []
  if (conditionOf(before, 'SufficientPermissions')?.message === state.missing) return []
  const message = `insufficient permissions: ${state.missing}`
  return [{ type: 'Warning', reason: 'InternalError', message }]
}

/** One watch for all namespaces, also those to come. */
const isEverywhere = ({ spec }: ApiServerSource): boolean =>
  spec.namespaceSelector !== undefined && selectorText(spec.namespaceSelector) === ''

/** Sorted; without a selector the own one. */
function namespacesOf({ spec, metadata }: ApiServerSource, read: Reader): readonly string[] {
  const { namespaceSelector: selector } = spec
  if (!selector) return [metadata.namespace ?? '']
  const matches = selectorMatcher(selector)
  return read
    .list(Namespace, '')
    .filter((each) => matches(each.metadata.labels))
    .map((each) => each.metadata.name)
    .toSorted()
}

function wishOf(
  { spec, metadata }: ApiServerSource,
  namespaces: readonly string[],
  resources: readonly Resource[],
): Wish {
  const { uid = '', namespace = '', annotations } = metadata
  return {
    uid,
    account: { namespace, name: spec.serviceAccountName || 'default' },
    namespaces,
    resources,
    ...(annotations?.[uncheckedAnnotation] === 'true' && { unchecked: true }),
  }
}
