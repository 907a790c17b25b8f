/**
 * ApiServerSource: what it follows and where its events go; `sources/api-server/` follows (contract eventing §2.13). It
 * is Ready when its watches run, so a change made after that is an event.
 */
import { conditionOf, finish } from '../../../knative/conditions.ts'
import { createTracker } from '../../../knative/tracker.ts'
import type { Kind } from '../../../kube/api/kind.ts'
import { keyOf, type KubeObject } from '../../../kube/api/meta.ts'
import { Namespace } from '../../../kube/api/namespace.ts'
import { selectorMatcher, selectorText } from '../../../kube/api/selectors.ts'
import type { Reader, Reconciler } from '../../../kube/controller/reconciler.ts'
import {
  apiServerEventTypes,
  apiServerSourceConditions as conditions,
  type ApiServerSource,
  type ApiServerSourceStatus,
} from '../../api/api-server-source.ts'
import { destinationIn } from '../../api/destination.ts'
import { guessedPlural } from '../../sources/api-server/change-event.ts'
import type { FollowState, Followers, Tell, Wish } from '../../sources/api-server/follow.ts'
import { withoutIdentity } from '../marks.ts'
import { addressableKinds, isResolved, resolve, targetOf, type Resolution } from '../resolver.ts'
import { sinkNotFound, withSink } from '../source/sink.ts'

export interface World {
  readonly source: ApiServerSource
  readonly sink: Resolution
  readonly namespaces: readonly string[]
  readonly state: FollowState
}

/** URL of the API as programs in pods know it. */
export const apiServerUrl = 'https://10.96.0.1:443'

export interface ApiServerSourceDeps {
  readonly followers: Followers
  /** What is done with a change that this source follows. */
  readonly tell: (source: ApiServerSource, sink: Resolution) => Tell
}

/** `kind` may be of 2019 as well: its objects have the same spec. */
export const apiServerSourceReconciler = (
  kind: Kind<ApiServerSource>,
  { followers, tell }: ApiServerSourceDeps,
): Reconciler<ApiServerSource, World> => {
  const tracker = createTracker()
  return {
    name: 'apiserversource-controller',
    kind,
    watches: [
      ...addressableKinds.map((each) => ({
        kind: each,
        wake: (changed: KubeObject) => tracker.observers(changed),
      })),
      {
        kind: Namespace,
        wake: (_changed: KubeObject, read: Reader) =>
          read
            .list(kind, '')
            .filter(({ spec }) => spec.namespaceSelector)
            .map(keyOf),
      },
    ],
    customKinds: (changed) => tracker.observers(changed),

    observe(source, read) {
      const key = keyOf(source)
      const wanted = destinationIn(source.spec.sink, key.namespace)
      tracker.track(key, targetOf(wanted, key.namespace))
      const sink = resolve(wanted ?? {}, key.namespace, read)
      const namespaces = namespacesOf(source, read)
      const following = isResolved(sink) && !source.metadata.deletionTimestamp
      followers.follow(
        followed(kind, source),
        following ? wishOf(source, namespaces) : undefined,
        tell(source, sink),
      )
      return { source, sink, namespaces, state: followers.stateOf(followed(kind, source)) }
    },

    plan({ source, sink, namespaces, state }, nowMs) {
      const { generation = 0 } = source.metadata
      const { mode } = source.spec
      let status: ApiServerSourceStatus = conditions.begin(source.status ?? {}, generation, nowMs)
      status = withSink(status, sink, conditions, nowMs)
      status = withoutIdentity(status, conditions, nowMs)
      status = {
        ...status,
        namespaces,
        ceAttributes: apiServerEventTypes(mode).map((type) => ({ type, source: apiServerUrl })),
      }
      if (isResolved(sink)) status = withState(status, state, nowMs)
      return {
        status: finish(status, source.status, generation, nowMs),
        events: sinkNotFound(source.spec.sink, sink, source.status),
      }
    },

    gone(key) {
      tracker.forget(key)
      followers.follow({ ...key, name: `${kind.group}/${key.name}` }, undefined)
      return {}
    },

    connect: (wake) =>
      followers.onState(({ namespace, name }) => {
        const prefix = `${kind.group}/`
        if (name.startsWith(prefix)) wake({ namespace, name: name.slice(prefix.length) })
      }),
  }
}

/** Two groups may have sources of one name. */
const followed = ({ group }: Kind, { metadata }: ApiServerSource) => ({
  namespace: metadata.namespace ?? '',
  name: `${group}/${metadata.name}`,
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

/** Sorted; without a selector the own one, with an empty selector all as ''. */
function namespacesOf({ spec, metadata }: ApiServerSource, read: Reader): readonly string[] {
  const { namespaceSelector: selector } = spec
  if (!selector) return [metadata.namespace ?? '']
  if (selectorText(selector) === '') return ['']
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
): Wish | undefined {
  const resources = (spec.resources ?? []).map(({ apiVersion = '', kind = '', selector }) => {
    const [group, version] = apiVersion.includes('/')
      ? (apiVersion.split('/') as [string, string])
      : ['', apiVersion]
    return {
      group,
      version,
      kind,
      plural: guessedPlural(kind),
      labelSelector: selector ? selectorText(selector) : '',
    }
  })
  const account = {
    namespace: metadata.namespace ?? '',
    name: spec.serviceAccountName || 'default',
  }
  return { account, namespaces, resources }
}
