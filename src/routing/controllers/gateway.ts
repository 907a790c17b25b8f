/** Gateway and GatewayClass: those of our class are the one gateway, and say so (Gateway API, GatewayStatus). */
import { keyOf } from '../../kube/api/meta.ts'
import type { Reconciler } from '../../kube/controller/reconciler.ts'
import { gatewayGroup } from '../api/gateway-api.ts'
import { controllerName, GatewayClass, type GatewayClassStatus } from '../api/gateway-class.ts'
import { Gateway, type GatewayStatus, type Listener } from '../api/gateway.ts'
import { bad, conditionsOf, good, type Said } from './conditions.ts'
import { isHttp } from './parents.ts'
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
  readonly attached: readonly number[] | undefined
}

/** `address`: where the gateway is reached. */
export const gatewayReconciler = (
  hosts: SharedHosts,
  address: string,
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
  ],

  observe(gateway, read) {
    const { gatewayClassName: name, listeners } = gateway.spec
    const gatewayClass = read.get(GatewayClass, { namespace: '', name })
    const ours = gatewayClass?.spec.controllerName === controllerName
    return {
      gateway,
      attached: ours
        ? listeners.map((listener) => hosts.attachedRoutes(keyOf(gateway), listener.name))
        : undefined,
    }
  },

  plan({ gateway, attached }, nowMs) {
    if (!attached) return {}
    const { spec, metadata, status: stored } = gateway
    const { generation = 0 } = metadata
    const usable = spec.listeners.some(({ protocol }) => protocol === 'HTTP')
    const said = [
      usable
        ? good('Accepted', 'Accepted', 'every listener is the gateway of this platform')
        : bad('Accepted', 'ListenersNotValid', 'no listener has protocol HTTP'),
      usable
        ? good('Programmed', 'Programmed', 'the gateway is running')
        : bad('Programmed', 'Invalid', 'no listener has protocol HTTP'),
    ]
    const status: GatewayStatus = {
      addresses: [{ type: /^[\d.]+$|:/.test(address) ? 'IPAddress' : 'Hostname', value: address }],
      conditions: conditionsOf(said, stored?.conditions, generation, nowMs),
      listeners: spec.listeners.map((listener, i) => ({
        name: listener.name,
        attachedRoutes: attached[i] ?? 0,
        supportedKinds: isHttp(listener) ? [{ group: gatewayGroup, kind: 'HTTPRoute' }] : [],
        conditions: conditionsOf(
          listenerConditions(listener),
          stored?.listeners?.find(({ name }) => name === listener.name)?.conditions,
          generation,
          nowMs,
        ),
      })),
    }
    return { status }
  },

  connect: (wake) => hosts.onAttached(wake),
})

function listenerConditions(listener: Listener): readonly Said[] {
  const { protocol } = listener
  if (!isHttp(listener)) {
    const why = `protocol ${protocol} is not supported: use HTTP`
    return [
      bad('Accepted', 'UnsupportedProtocol', why),
      bad('Conflicted', 'NoConflicts', ''),
      bad('Programmed', 'Invalid', why),
      good('ResolvedRefs', 'ResolvedRefs'),
    ]
  }
  return [
    good('Accepted', 'Accepted'),
    bad('Conflicted', 'NoConflicts', ''),
    protocol === 'HTTP'
      ? good('Programmed', 'Programmed')
      : bad(
          'Programmed',
          'Invalid',
          'certificateRefs of listeners are not read: name the Secret by spec.tls of a DomainMapping',
        ),
    good('ResolvedRefs', 'ResolvedRefs'),
  ]
}
