/**
 * The Service `default/kubernetes`, by which programs in pods and many scripts know the API server: the first address of
 * the service range, with the server's own address behind it. It is hung on the
 * Namespace `default`, which always exists, so that whoever deletes or changes a part of it gets it back.
 */
import { EndpointSlice } from '../api/endpoint-slice.ts'
import { Endpoints } from '../api/endpoints.ts'
import type { KubeObject, ObjectKey } from '../api/meta.ts'
import { Namespace } from '../api/namespace.ts'
import { Service } from '../api/service.ts'
import type { Plan, Reconciler } from '../controller/reconciler.ts'

/** Where the API server listens, as others on this machine's network reach it. */
export interface ApiAddress {
  readonly ip: string
  readonly port: number
}

const key: ObjectKey = { namespace: 'default', name: 'kubernetes' }
const clusterIP = '10.96.0.1'

export const kubernetesService = (address: ApiAddress): Reconciler<Namespace, undefined> => ({
  name: 'kubernetes-service',
  kind: Namespace,
  handles: ({ metadata }) => metadata.name === key.namespace,
  watches: [Service, Endpoints, EndpointSlice].map((kind) => ({ kind, wake: ofOurs })),
  observe: () => undefined,
  plan: () => parts(address),
})

const ofOurs = ({ metadata }: KubeObject): readonly ObjectKey[] =>
  metadata.name === key.name && metadata.namespace === key.namespace
    ? [{ namespace: '', name: metadata.namespace }]
    : []

function parts({ ip, port }: ApiAddress): Plan {
  const https = { name: 'https', port, protocol: 'TCP' }
  const service: Service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { ...key, labels: { component: 'apiserver', provider: 'kubernetes' } },
    spec: {
      clusterIP,
      clusterIPs: [clusterIP],
      internalTrafficPolicy: 'Cluster',
      ipFamilies: ['IPv4'],
      ipFamilyPolicy: 'SingleStack',
      ports: [{ ...https, port: 443, targetPort: port }],
      sessionAffinity: 'None',
      type: 'ClusterIP',
    },
  }
  const endpoints: Endpoints = {
    apiVersion: 'v1',
    kind: 'Endpoints',
    // The slice below is made here, so nobody needs to mirror one.
    metadata: { ...key, labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' } },
    subsets: [{ addresses: [{ ip }], ports: [https] }],
  }
  const slice: EndpointSlice = {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { ...key, labels: { 'kubernetes.io/service-name': key.name } },
    addressType: 'IPv4',
    endpoints: [{ addresses: [ip], conditions: { ready: true } }],
    ports: [https],
  }
  return {
    apply: [
      { kind: Service, desired: service },
      { kind: Endpoints, desired: endpoints },
      { kind: EndpointSlice, desired: slice },
    ],
  }
}
