/**
 * The pod fields a Revision may have, as structural schema. What Knative never allows is not
 * here, so the API server prunes it or names it as an unknown field; what is behind a feature flag is here and
 * refused by validation.
 */
import type { PodSpec } from 'kubernetes-types/core/v1.js'
import type { Container } from '../../kube/api/container.ts'
import {
  anything,
  boolean,
  integer,
  intOrString,
  list,
  map,
  object,
  string,
  type Schema,
} from '../../kube/api/schema.ts'
import type { DeepReadonly } from '../../kube/api/stored.ts'

export type { Container, Probe } from '../../kube/api/container.ts'
export type SecurityContext = NonNullable<Container['securityContext']>
/** `image` is newer than kubernetes-types. */
export type Volume = NonNullable<RevisionPodSpec['volumes']>[number] & {
  readonly image?: { readonly reference?: string; readonly pullPolicy?: string }
}
export type VolumeMount = NonNullable<Container['volumeMounts']>[number]
export type EnvVar = NonNullable<Container['env']>[number]
export type PodSecurityContext = NonNullable<RevisionPodSpec['securityContext']>

/** The part of Kubernetes' PodSpec that a Revision carries. */
export type RevisionPodSpec = DeepReadonly<Pick<PodSpec, AllowedPodField>> & {
  readonly containers: readonly Container[]
  readonly initContainers?: readonly Container[]
}

type AllowedPodField =
  | 'affinity'
  | 'automountServiceAccountToken'
  | 'dnsConfig'
  | 'dnsPolicy'
  | 'enableServiceLinks'
  | 'hostAliases'
  | 'hostIPC'
  | 'hostNetwork'
  | 'hostPID'
  | 'imagePullSecrets'
  | 'nodeSelector'
  | 'priorityClassName'
  | 'runtimeClassName'
  | 'schedulerName'
  | 'securityContext'
  | 'serviceAccountName'
  | 'shareProcessNamespace'
  | 'tolerations'
  | 'topologySpreadConstraints'
  | 'volumes'

const int32 = (description?: string) =>
  integer({ format: 'int32', ...(description && { description }) })
const int64 = (description?: string) =>
  integer({ format: 'int64', ...(description && { description }) })
const text = (description: string) => string({ description })

const namedReference = (description: string, fields: Record<string, Schema> = {}) =>
  object({ name: string({ default: '' }), ...fields }, { description })

const keySelector = (description: string) =>
  object(
    { key: text('Key in its data.'), name: string({ default: '' }), optional: boolean() },
    { description, required: ['key'], 'x-kubernetes-map-type': 'atomic' },
  )

const envVar = object(
  {
    name: text('Name of the variable.'),
    value: text('Its value; $(NAME) is replaced by earlier variables.'),
    valueFrom: object(
      {
        configMapKeyRef: keySelector('Value of a key of a ConfigMap.'),
        secretKeyRef: keySelector('Value of a key of a Secret.'),
        fieldRef: anything({
          description: 'A field of the pod. Needs kubernetes.podspec-fieldref.',
        }),
        resourceFieldRef: anything({
          description: 'A resource of the container. Needs kubernetes.podspec-fieldref.',
        }),
      },
      { description: 'Where the value comes from.' },
    ),
  },
  { required: ['name'] },
)

const envFrom = object({
  prefix: text('Put before every name.'),
  configMapRef: namedReference('All keys of a ConfigMap.', { optional: boolean() }),
  secretRef: namedReference('All keys of a Secret.', { optional: boolean() }),
})

const probe = (description: string) =>
  object(
    {
      exec: object({ command: list(string(), { 'x-kubernetes-list-type': 'atomic' }) }),
      httpGet: object({
        host: string(),
        httpHeaders: list(
          object({ name: string(), value: string() }, { required: ['name', 'value'] }),
          { 'x-kubernetes-list-type': 'atomic' },
        ),
        path: string(),
        port: intOrString(),
        scheme: string(),
      }),
      tcpSocket: object({ host: string(), port: intOrString() }),
      grpc: object({ port: int32(), service: string({ default: '' }) }),
      failureThreshold: int32('Failures in a row that count as failed.'),
      initialDelaySeconds: int32('Seconds after the start before the first probe.'),
      periodSeconds: int32('Seconds between probes; 0 on a readiness probe: as often as useful.'),
      successThreshold: int32('Successes in a row that count as well.'),
      timeoutSeconds: int32('Seconds after which a probe has failed.'),
    },
    { description },
  )

const quantities = (description: string) =>
  map(intOrString({ pattern: quantityPattern }), { description })
const quantityPattern =
  '^(\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))))?$'

const containerSecurity = object(
  {
    allowPrivilegeEscalation: boolean(),
    capabilities: object({
      add: list(string(), { 'x-kubernetes-list-type': 'atomic' }),
      drop: list(string(), { 'x-kubernetes-list-type': 'atomic' }),
    }),
    privileged: boolean(),
    readOnlyRootFilesystem: boolean(),
    runAsGroup: int64(),
    runAsNonRoot: boolean(),
    runAsUser: int64(),
    seccompProfile: object({ localhostProfile: string(), type: string() }, { required: ['type'] }),
  },
  { description: 'What the container’s processes may do.' },
)

const container = object(
  {
    args: list(string(), {
      description: 'Arguments; the image’s CMD when absent.',
      'x-kubernetes-list-type': 'atomic',
    }),
    command: list(string(), {
      description: 'What to run; the image’s ENTRYPOINT when absent.',
      'x-kubernetes-list-type': 'atomic',
    }),
    env: list(envVar, {
      description: 'Environment variables.',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['name'],
    }),
    envFrom: list(envFrom, {
      description: 'Whole ConfigMaps and Secrets as environment variables.',
      'x-kubernetes-list-type': 'atomic',
    }),
    image: text('Image to run.'),
    imagePullPolicy: text('Always, Never or IfNotPresent.'),
    livenessProbe: probe('Failing it restarts the container.'),
    name: text('Name of the container.'),
    ports: list(
      object(
        {
          containerPort: int32('Port the program listens on.'),
          name: text('http1 or h2c: the protocol.'),
          protocol: string({ default: 'TCP' }),
        },
        { required: ['containerPort'] },
      ),
      {
        description: 'At most one port over all containers: the one that gets the requests.',
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['containerPort', 'protocol'],
      },
    ),
    readinessProbe: probe('Requests are sent only while it succeeds.'),
    resources: object(
      { limits: quantities('The most it may use.'), requests: quantities('What it is given.') },
      { description: 'Compute resources.' },
    ),
    securityContext: containerSecurity,
    startupProbe: probe('Other probes begin when it has succeeded.'),
    terminationMessagePath: string(),
    terminationMessagePolicy: string(),
    volumeMounts: list(
      object(
        {
          mountPath: string(),
          mountPropagation: string(),
          name: string(),
          readOnly: boolean(),
          subPath: string(),
        },
        { required: ['mountPath', 'name'] },
      ),
      {
        description: 'Volumes seen by the container.',
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['mountPath'],
      },
    ),
    workingDir: string(),
  },
  { description: 'A container of the pod.' },
)

const keyToPath = list(
  object({ key: string(), mode: int32(), path: string() }, { required: ['key', 'path'] }),
  { 'x-kubernetes-list-type': 'atomic' },
)

const volume = object(
  {
    name: string(),
    configMap: namedReference('A ConfigMap as files.', {
      defaultMode: int32(),
      items: keyToPath,
      optional: boolean(),
    }),
    secret: object({
      defaultMode: int32(),
      items: keyToPath,
      optional: boolean(),
      secretName: string(),
    }),
    projected: object({
      defaultMode: int32(),
      sources: list(
        object({
          configMap: namedReference('A ConfigMap.', { items: keyToPath, optional: boolean() }),
          secret: namedReference('A Secret.', { items: keyToPath, optional: boolean() }),
          serviceAccountToken: object(
            { audience: string(), expirationSeconds: int64(), path: string() },
            { required: ['path'] },
          ),
          downwardAPI: object({
            items: list(
              object(
                {
                  fieldRef: object(
                    { apiVersion: string(), fieldPath: string() },
                    { required: ['fieldPath'], 'x-kubernetes-map-type': 'atomic' },
                  ),
                  mode: int32(),
                  path: string(),
                  resourceFieldRef: object(
                    {
                      containerName: string(),
                      divisor: intOrString({ pattern: quantityPattern }),
                      resource: string(),
                    },
                    { required: ['resource'], 'x-kubernetes-map-type': 'atomic' },
                  ),
                },
                { required: ['path'] },
              ),
              { 'x-kubernetes-list-type': 'atomic' },
            ),
          }),
        }),
        { 'x-kubernetes-list-type': 'atomic' },
      ),
    }),
    csi: anything(),
    emptyDir: anything(),
    ephemeral: anything(),
    hostPath: anything(),
    image: anything(),
    persistentVolumeClaim: anything(),
  },
  { required: ['name'] },
)

/** Properties of a Revision's spec that come from PodSpec. */
export const podSpecFields = {
  affinity: anything(),
  automountServiceAccountToken: boolean(),
  containers: list(container, {
    description: 'One container that gets the requests, and helpers.',
  }),
  dnsConfig: anything(),
  dnsPolicy: string(),
  enableServiceLinks: boolean(),
  hostAliases: list(anything(), { 'x-kubernetes-list-type': 'atomic' }),
  hostIPC: boolean(),
  hostNetwork: boolean(),
  hostPID: boolean(),
  imagePullSecrets: list(object({ name: string({ default: '' }) }), {
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': ['name'],
  }),
  initContainers: list(anything(), { 'x-kubernetes-list-type': 'atomic' }),
  nodeSelector: map(string(), { 'x-kubernetes-map-type': 'atomic' }),
  priorityClassName: string(),
  runtimeClassName: string(),
  schedulerName: string(),
  securityContext: anything(),
  serviceAccountName: string(),
  shareProcessNamespace: boolean(),
  tolerations: list(anything(), { 'x-kubernetes-list-type': 'atomic' }),
  topologySpreadConstraints: list(anything(), { 'x-kubernetes-list-type': 'atomic' }),
  volumes: list(volume, {
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': ['name'],
  }),
}
