/** Labels and annotations of Knative Serving that more than one part reads or writes. */

export const servingGroup = 'serving.knative.dev'
/** Group of PodAutoscaler and Metric. */
export const autoscalingInternalGroup = 'autoscaling.internal.knative.dev'
/** Group of ServerlessService, Ingress and Certificate. */
export const networkingInternalGroup = 'networking.internal.knative.dev'
/** Group of Image. */
export const cachingInternalGroup = 'caching.internal.knative.dev'

/** Where the config-* ConfigMaps and the platform's own objects live. */
export const systemNamespace = 'knative-serving'
export const clusterDomain = 'cluster.local'

export const label = {
  service: 'serving.knative.dev/service',
  serviceUID: 'serving.knative.dev/serviceUID',
  configuration: 'serving.knative.dev/configuration',
  configurationUID: 'serving.knative.dev/configurationUID',
  configurationGeneration: 'serving.knative.dev/configurationGeneration',
  revision: 'serving.knative.dev/revision',
  revisionUID: 'serving.knative.dev/revisionUID',
  /** pending, active or reserve; on Revisions only. */
  routingState: 'serving.knative.dev/routingState',
  route: 'serving.knative.dev/route',
  routeNamespace: 'serving.knative.dev/routeNamespace',
  deploymentHash: 'serving.knative.dev/deployment-hash',
  app: 'app',
  /** `cluster-local` keeps a Service or Route off the external listener. */
  visibility: 'networking.knative.dev/visibility',
  /** Spelling before 0.18; converted to `visibility`. */
  oldVisibility: 'serving.knative.dev/visibility',
  serverlessService: 'networking.internal.knative.dev/serverlessservice',
  /** Public or Private, on the k8s Services of a ServerlessService. */
  serviceType: 'networking.internal.knative.dev/serviceType',
  wildcardDomain: 'networking.knative.dev/wildcardDomain',
  certificateType: 'networking.knative.dev/certificate-type',
  certificateUID: 'networking.internal.knative.dev/certificate-uid',
  domainMappingUID: 'serving.knative.dev/domainMappingUID',
  domainMappingNamespace: 'serving.knative.dev/domainMappingNamespace',
} as const

export const annotation = {
  creator: 'serving.knative.dev/creator',
  lastModifier: 'serving.knative.dev/lastModifier',
  /** Comma-joined, sorted names of the Routes that reach a Configuration or Revision. */
  routes: 'serving.knative.dev/routes',
  routingStateModified: 'serving.knative.dev/routingStateModified',
  noGC: 'serving.knative.dev/no-gc',
  lastPinned: 'serving.knative.dev/lastPinned',
  rollout: 'networking.internal.knative.dev/rollout',
  tagToHost: 'networking.internal.knative.dev/tag-to-host',
  ingressClass: 'networking.knative.dev/ingress.class',
  certificateClass: 'networking.knative.dev/certificate.class',
  defaultContainer: 'kubectl.kubernetes.io/default-container',
  lastApplied: 'kubectl.kubernetes.io/last-applied-configuration',
  exampleChecksum: 'knative.dev/example-checksum',
  autoscalingClass: 'autoscaling.knative.dev/class',
  autoscalingMetric: 'autoscaling.knative.dev/metric',
  /** On PodAutoscalers: JSON of the Revision's annotations as they were copied last, to tell them from direct edits. */
  copiedSettings: 'ebb.dev/copied-settings',
  queueProxyPodInfo: 'features.knative.dev/queueproxy-podinfo',
  httpFullDuplex: 'features.knative.dev/http-full-duplex',
} as const

/** All spellings of an annotation, in the order in which they are looked up: the first that is present wins. */
export const annotationSpellings = {
  rolloutDuration: ['serving.knative.dev/rollout-duration', 'serving.knative.dev/rolloutDuration'],
  progressDeadline: [
    'serving.knative.dev/progress-deadline',
    'serving.knative.dev/progressDeadline',
  ],
  ingressClass: ['networking.knative.dev/ingress.class', 'networking.knative.dev/ingress-class'],
  certificateClass: [
    'networking.knative.dev/certificate.class',
    'networking.knative.dev/certificate-class',
  ],
  disableExternalDomainTls: [
    'networking.knative.dev/disableAutoTLS',
    'networking.knative.dev/disable-auto-tls',
    'networking.knative.dev/disable-external-domain-tls',
  ],
  httpProtocol: ['networking.knative.dev/httpOption', 'networking.knative.dev/http-protocol'],
} as const

/** Class of the Pod autoscaler. */
export const kpaClass = 'kpa.autoscaling.knative.dev'
export const hpaClass = 'hpa.autoscaling.knative.dev'

/** Value of the label `visibility` that keeps traffic inside. */
export const clusterLocal = 'cluster-local'

/** Name of the serving container's port on Pods. */
export const userPortName = 'user-port'

/** The value of the first of `keys` that is present, with the key it was found under. */
export function firstSpelling(
  annotations: Readonly<Record<string, string>> | undefined,
  keys: readonly string[],
): { readonly key: string; readonly value: string } | undefined {
  if (!annotations) return undefined
  for (const key of keys) {
    const value = annotations[key]
    if (value !== undefined) return { key, value }
  }
  return undefined
}
