/**
 * The Services of the system namespace that stand for the event engine and for the endpoint of JobSinks: neither is a
 * pod, so their addresses are written into Endpoints here, and Kubernetes' own controller makes EndpointSlices of them.
 * Programs and people see there whether events can come in; requests by name take the gateway.
 */
import { ConfigMap } from '../../../kube/api/config-map.ts'
import { Endpoints } from '../../../kube/api/endpoints.ts'
import { controllerRef, type KubeObject, type ObjectKey } from '../../../kube/api/meta.ts'
import { Service as CoreService } from '../../../kube/api/service.ts'
import type { Reconciler } from '../../../kube/controller/reconciler.ts'
import { featuresIn } from '../../api/config/read.ts'
import { systemNamespace } from '../../api/names.ts'
import type { DialAddress } from '../destination/dial.ts'
import { isFeatures } from '../feature-watch.ts'
import type { EngineLink } from './engine-link.ts'

const jobSink = 'job-sink'
const dispatcher = 'imc-dispatcher'
const names = ['broker-ingress', 'broker-filter', dispatcher, jobSink, 'request-reply']

const keys: readonly ObjectKey[] = names.map((name) => ({ namespace: systemNamespace, name }))

const portNames = (service: string) =>
  service === dispatcher
    ? { http: 'http-dispatcher', https: 'https-dispatcher' }
    : { http: 'http', https: 'https' }

/** As they are made on a fresh installation. */
export const systemServices = (): readonly CoreService[] =>
  names.map((name) => ({
    apiVersion: 'v1',
    kind: CoreService.kind,
    metadata: {
      name,
      namespace: systemNamespace,
      labels: { 'app.kubernetes.io/name': 'knative-eventing' },
    },
    spec: {
      type: 'ClusterIP',
      ports: [
        { name: portNames(name).http, port: 80, protocol: 'TCP', targetPort: 8080 },
        { name: portNames(name).https, port: 443, protocol: 'TCP', targetPort: 8443 },
      ],
    },
  }))

interface World {
  readonly service: CoreService
  /** Undefined = nobody listens. */
  readonly plain: DialAddress | undefined
  readonly secure: DialAddress | undefined
}

/** A Service of these names that has a selector leads to pods of somebody else. */
const isOurs = ({ metadata, spec }: CoreService): boolean =>
  metadata.namespace === systemNamespace &&
  names.includes(metadata.name) &&
  spec.type !== 'ExternalName' &&
  Object.keys(spec.selector ?? {}).length === 0

/** `jobSinkAddress`: where JobSinks take events. */
export const systemServiceReconciler = (
  link: Pick<EngineLink, 'address' | 'secure' | 'onServed'>,
  jobSinkAddress: () => DialAddress | undefined,
): Reconciler<CoreService, World> => ({
  name: 'eventing-service-controller',
  kind: CoreService,
  handles: isOurs,
  watches: [
    { kind: Endpoints, wake: ofName },
    { kind: ConfigMap, wake: (changed) => (isFeatures(changed) ? keys : []) },
  ],

  observe(service, read) {
    const plain = service.metadata.name === jobSink ? jobSinkAddress() : link.address
    // Nobody gets in plainly by a Service's name when only TLS is to be spoken.
    const isStrict = featuresIn(read).transportEncryption === 'strict'
    return { service, plain: isStrict ? undefined : plain, secure: link.secure }
  },

  plan: ({ service, plain, secure }) => ({
    apply: [{ kind: Endpoints, desired: endpointsOf(service, plain, secure) }],
  }),

  connect: (wake) =>
    link.onServed(() => {
      for (const key of keys) wake(key)
    }),
})

const ofName = ({ metadata }: KubeObject): readonly ObjectKey[] =>
  metadata.namespace === systemNamespace && names.includes(metadata.name)
    ? [{ namespace: systemNamespace, name: metadata.name }]
    : []

function endpointsOf(
  service: CoreService,
  plain: DialAddress | undefined,
  secure: DialAddress | undefined,
): Endpoints {
  const { name, labels } = service.metadata
  const { http, https } = portNames(name)
  const subset = (port: string, at: DialAddress | undefined) =>
    at
      ? [
          {
            addresses: [{ ip: at.host }],
            ports: [{ name: port, port: at.port, protocol: 'TCP' as const }],
          },
        ]
      : []
  return {
    apiVersion: 'v1',
    kind: Endpoints.kind,
    metadata: {
      name,
      namespace: systemNamespace,
      ...(labels && { labels }),
      ownerReferences: [controllerRef(service)],
    },
    subsets: [...subset(http, plain), ...subset(https, secure)],
  }
}
