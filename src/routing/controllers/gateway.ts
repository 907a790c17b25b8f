/** Gateway and GatewayClass: those of our class are the one gateway, and say so (Gateway API, GatewayStatus). */
import { keyOf } from '../../kube/api/meta.ts'
import { Secret } from '../../kube/api/secret.ts'
import type { Reconciler } from '../../kube/controller/reconciler.ts'
import { createTracker, type Target } from '../../knative/tracker.ts'
import { gatewayGroup } from '../api/gateway-api.ts'
import { controllerName, GatewayClass, type GatewayClassStatus } from '../api/gateway-class.ts'
import { Gateway, type GatewayStatus, type Listener } from '../api/gateway.ts'
import { ReferenceGrant } from '../api/reference-grant.ts'
import { bad, conditionsOf, good, type Said } from './conditions.ts'
import { isOurs, listenerTls, type ListenerTls } from './listener-tls.ts'
import { isHttp } from './parents.ts'
import { everyName, lookup } from './seen.ts'
import type { SharedHosts } from './shared-hosts.ts'

/** What of the Gateway API there is beyond its core, in upstream's names, sorted. */
const features = [
  'Gateway',
  'HTTPRoute',
  'HTTPRouteBackendRequestHeaderModification',
  'HTTPRouteBackendTimeout',
  'HTTPRouteHostRewrite',
  'HTTPRouteMethodMatching',
  'HTTPRoutePathRedirect',
  'HTTPRoutePathRewrite',
  'HTTPRoutePortRedirect',
  'HTTPRouteQueryParamMatching',
  'HTTPRouteRequestMirror',
  'HTTPRouteRequestMultipleMirrors',
  'HTTPRouteRequestPercentageMirror',
  'HTTPRouteRequestTimeout',
  'HTTPRouteResponseHeaderModification',
  'HTTPRouteSchemeRedirect',
  'ReferenceGrant',
]

export const gatewayClassReconciler: Reconciler<GatewayClass, GatewayClass> = {
  name: 'gatewayclass-controller',
  kind: GatewayClass,
  watches: [],
  handles: ({ spec }) => spec.controllerName === controllerName,
  observe: (gatewayClass) => gatewayClass,
  plan({ metadata, status: stored }, nowMs) {
    const { generation = 0 } = metadata
    const said = [good('Accepted', 'Accepted', 'the gateway of this platform carries it out')]
    const status: GatewayClassStatus = {
      conditions: conditionsOf(said, stored?.conditions, generation, nowMs),
      supportedFeatures: features.map((name) => ({ name })),
    }
    return { status }
  },
}

export interface World {
  readonly gateway: Gateway
  /** Undefined: its class is not ours. */
  readonly listeners: readonly ListenerWorld[] | undefined
}

interface ListenerWorld {
  readonly attached: number
  /** Of one for HTTPS. */
  readonly tls?: ListenerTls
}

/** `address`: where the gateway is reached. */
export const gatewayReconciler = (
  hosts: SharedHosts,
  address: string,
  tracker = createTracker(),
): Reconciler<Gateway, World> => ({
  name: 'gateway-controller',
  kind: Gateway,
  watches: [
    {
      kind: GatewayClass,
      wake: ({ metadata }, read) =>
        read
          .list(Gateway, '')
          .filter(({ spec }) => spec.gatewayClassName === metadata.name)
          .map(keyOf),
    },
    { kind: Secret, wake: (changed) => tracker.observers(changed) },
    {
      kind: ReferenceGrant,
      wake: ({ kind, apiVersion, metadata }) =>
        tracker.observers({ kind, apiVersion, metadata: { ...metadata, name: everyName } }),
    },
  ],

  observe(gateway, read, nowMs) {
    const key = keyOf(gateway)
    const seen: Target[] = []
    const look = lookup(read, seen)
    const listeners = isOurs(gateway, look)
      ? gateway.spec.listeners.map((listener) => ({
          attached: hosts.attachedRoutes(key, listener.name),
          ...(listener.protocol === 'HTTPS' && {
            tls: listenerTls(listener, key.namespace, look, nowMs),
          }),
        }))
      : undefined
    tracker.track(key, seen)
    return { gateway, listeners }
  },

  plan({ gateway, listeners }, nowMs) {
    if (!listeners) return {}
    const { spec, metadata, status: stored } = gateway
    const { generation = 0 } = metadata
    const usable = spec.listeners.some((listener, i) => isUsable(listener, listeners[i]?.tls))
    const why = 'no listener has protocol HTTP, or HTTPS with a certificate'
    const said = [
      usable
        ? good('Accepted', 'Accepted', 'every listener is the gateway of this platform')
        : bad('Accepted', 'ListenersNotValid', why),
      usable
        ? good('Programmed', 'Programmed', 'the gateway is running')
        : bad('Programmed', 'Invalid', why),
    ]
    const status: GatewayStatus = {
      addresses: [{ type: /^[\d.]+$|:/.test(address) ? 'IPAddress' : 'Hostname', value: address }],
      conditions: conditionsOf(said, stored?.conditions, generation, nowMs),
      listeners: spec.listeners.map((listener, i) => ({
        name: listener.name,
        attachedRoutes: listeners[i]?.attached ?? 0,
        supportedKinds: isHttp(listener) ? [{ group: gatewayGroup, kind: 'HTTPRoute' }] : [],
        conditions: conditionsOf(
          listenerConditions(listener, listeners[i]?.tls),
          stored?.listeners?.find(({ name }) => name === listener.name)?.conditions,
          generation,
          nowMs,
        ),
      })),
    }
    const untilMs = Math.min(...listeners.map(({ tls }) => tls?.untilMs ?? Infinity))
    return {
      status,
      ...(untilMs < Infinity && { requeueAfterMs: Math.min(untilMs - nowMs, dayMs) }),
    }
  },

  gone(key) {
    tracker.forget(key)
    return {}
  },

  connect: (wake) => hosts.onAttached(wake),
})

const dayMs = 24 * 3_600_000

/** A listener with one certificate that can be shown is one, whatever the others are. */
const isUsable = ({ protocol }: Listener, tls: ListenerTls | undefined): boolean =>
  protocol === 'HTTP' || (tls !== undefined && tls.certificates.size > 0)

function listenerConditions(listener: Listener, tls: ListenerTls | undefined): readonly Said[] {
  const { protocol } = listener
  if (!isHttp(listener)) {
    const why = `protocol ${protocol} is not supported: use HTTP or HTTPS`
    return [
      bad('Accepted', 'UnsupportedProtocol', why),
      bad('Conflicted', 'NoConflicts', ''),
      bad('Programmed', 'Invalid', why),
      good('ResolvedRefs', 'ResolvedRefs'),
    ]
  }
  const { problem } = tls ?? {}
  return [
    good('Accepted', 'Accepted'),
    bad('Conflicted', 'NoConflicts', ''),
    isUsable(listener, tls)
      ? good('Programmed', 'Programmed')
      : bad('Programmed', 'Invalid', problem?.message ?? 'there is no certificate'),
    problem
      ? bad('ResolvedRefs', problem.reason, problem.message)
      : good('ResolvedRefs', 'ResolvedRefs'),
  ]
}
