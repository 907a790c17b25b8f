/** Whatever a client sends of a built-in kind is admitted or refused with a Status, never an internal error. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { AdmissionContext, KindDefinition } from './kind.ts'
import { coreKinds } from './kinds.ts'
import type { KubeObject } from './meta.ts'
import { StatusError } from './status-error.ts'
import { applyDefaults, decodeProblem, prune, typeErrors, wholeSchema } from './structural.ts'

const context = (old?: KubeObject): AdmissionContext => ({
  operation: old ? 'UPDATE' : 'CREATE',
  ...(old && { old }),
  subresource: '',
  user: { username: 'me', groups: [] },
  dryRun: false,
  nowMs: 0,
  read: () => undefined,
  allows: () => true,
  list: () => [],
  warn: () => {},
})

const container = {
  name: 'c',
  image: 'x',
  ports: [{ containerPort: 80, name: 'http' }],
  env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }],
  envFrom: [{ configMapRef: { name: 'x' } }],
  volumeMounts: [{ name: 'v', mountPath: '/v', subPath: 'a' }],
  resources: { limits: { cpu: '1' }, requests: { cpu: '1' } },
  readinessProbe: { httpGet: { port: 'http' } },
  livenessProbe: { grpc: { port: 1 } },
  lifecycle: { preStop: { httpGet: { port: 80 } }, postStart: { exec: { command: ['x'] } } },
  securityContext: { runAsUser: 1 },
}
const podSpec = {
  containers: [container],
  initContainers: [{ name: 'i', image: 'x', command: ['x'], readinessProbe: null }],
  volumes: [{ name: 'v', projected: { sources: [{ secret: { name: 's' } }] } }, { name: 'w' }],
  tolerations: [{ key: 'x', operator: 'Exists' }],
  securityContext: { runAsGroup: 1 },
}
const workload = {
  replicas: 1,
  selector: {
    matchLabels: { a: 'b' },
    matchExpressions: [{ key: 'a', operator: 'In', values: ['b'] }],
  },
  template: { metadata: { labels: { a: 'b' } }, spec: podSpec },
}
const jobSpec = {
  completions: 2,
  parallelism: 1,
  backoffLimit: 1,
  template: { spec: { ...podSpec, restartPolicy: 'Never' } },
  podFailurePolicy: {
    rules: [{ action: 'FailJob', onExitCodes: { operator: 'In', values: [1] } }],
  },
}
const samples: Readonly<Record<string, object>> = {
  Pod: { spec: podSpec, status: { containerStatuses: [{ name: 'c', state: { waiting: {} } }] } },
  Deployment: { spec: { ...workload, strategy: { rollingUpdate: { maxSurge: 1 } } } },
  ReplicaSet: { spec: workload },
  StatefulSet: {
    spec: {
      ...workload,
      serviceName: 's',
      volumeClaimTemplates: [
        {
          metadata: { name: 'v' },
          spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
        },
      ],
      updateStrategy: { rollingUpdate: { partition: 1 } },
    },
  },
  DaemonSet: {
    spec: {
      selector: workload.selector,
      template: workload.template,
      updateStrategy: { rollingUpdate: { maxUnavailable: '10%' } },
    },
  },
  ControllerRevision: { revision: 1, data: { spec: {} } },
  ReplicationController: {
    spec: { replicas: 1, selector: { a: 'b' }, template: workload.template },
  },
  Job: { spec: jobSpec, status: { conditions: [{ type: 'Complete', status: 'True' }] } },
  CronJob: {
    spec: {
      schedule: '*/5 1-3 * jan,feb mon',
      timeZone: 'Etc/UTC',
      jobTemplate: { spec: jobSpec },
    },
  },
  HorizontalPodAutoscaler: {
    spec: {
      maxReplicas: 3,
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'd' },
      metrics: [
        {
          type: 'Resource',
          resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 50 } },
        },
      ],
      behavior: { scaleDown: { policies: [{ type: 'Pods', value: 1, periodSeconds: 60 }] } },
    },
    status: {
      currentMetrics: [
        { type: 'Resource', resource: { name: 'cpu', current: { averageUtilization: 10 } } },
      ],
    },
  },
  ResourceQuota: {
    spec: { hard: { pods: '1', 'requests.cpu': '1' }, scopes: ['BestEffort'] },
    status: { hard: { pods: '1' }, used: { pods: '0' } },
  },
  LimitRange: {
    spec: { limits: [{ type: 'Container', default: { cpu: '1' }, max: { cpu: '2' } }] },
  },
  PodDisruptionBudget: { spec: { minAvailable: '50%', selector: { matchLabels: { a: 'b' } } } },
  PriorityClass: { value: 1 },
  RuntimeClass: { handler: 'x' },
  Ingress: {
    spec: {
      rules: [
        {
          host: 'a.b',
          http: {
            paths: [
              {
                path: '/',
                pathType: 'Prefix',
                backend: { service: { name: 's', port: { number: 1 } } },
              },
            ],
          },
        },
      ],
    },
  },
  IngressClass: { spec: { controller: 'a.b/c', parameters: { kind: 'X', name: 'x' } } },
  NetworkPolicy: { spec: { podSelector: { matchLabels: { a: 'b' } }, policyTypes: ['Ingress'] } },
  Service: {
    spec: { ports: [{ port: 80, targetPort: 'x' }], externalIPs: ['1.2.3.4'], type: 'NodePort' },
  },
  Endpoints: { subsets: [{ addresses: [{ ip: '1.2.3.4' }], ports: [{ port: 1 }] }] },
  EndpointSlice: {
    addressType: 'IPv4',
    endpoints: [{ addresses: ['1.2.3.4'] }],
    ports: [{ port: 1 }],
  },
  ConfigMap: { data: { a: 'b' }, binaryData: { c: 'Yg==' } },
  Secret: { data: { a: 'Yg==' }, stringData: { b: 'c' }, type: 'Opaque' },
  Event: { involvedObject: { kind: 'Pod', name: 'p', namespace: 'd' }, series: { count: 1 } },
  PersistentVolumeClaim: {
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
  },
  PersistentVolume: {
    spec: {
      accessModes: ['ReadWriteOnce'],
      capacity: { storage: '1Gi' },
      hostPath: { path: '/x' },
    },
  },
  StorageClass: { provisioner: 'x' },
  CertificateSigningRequest: {
    spec: {
      request: btoa('-----BEGIN CERTIFICATE REQUEST-----\nx\n-----END CERTIFICATE REQUEST-----'),
      signerName: 'kubernetes.io/kube-apiserver-client',
      usages: ['client auth'],
    },
  },
  Role: { rules: [{ apiGroups: [''], resources: ['pods'], verbs: ['get'] }] },
  ClusterRole: {
    rules: [{ nonResourceURLs: ['/x'], verbs: ['get'] }],
    aggregationRule: { clusterRoleSelectors: [{ matchLabels: { a: 'b' } }] },
  },
  RoleBinding: {
    roleRef: { kind: 'Role', name: 'r' },
    subjects: [{ kind: 'ServiceAccount', name: 's', namespace: 'n' }],
  },
  ClusterRoleBinding: {
    roleRef: { kind: 'ClusterRole', name: 'r' },
    subjects: [{ kind: 'User', name: 'u' }],
  },
  Node: { spec: { taints: [{ key: 'a', effect: 'NoSchedule' }] }, status: { addresses: [] } },
  Namespace: { spec: { finalizers: ['x'] }, status: {} },
  Lease: { spec: { leaseDurationSeconds: 1 } },
  ServiceAccount: { secrets: [{ name: 'x' }] },
  ...Object.fromEntries(
    ['MutatingWebhookConfiguration', 'ValidatingWebhookConfiguration'].map((name) => [
      name,
      {
        webhooks: [
          {
            name: 'a.b.c',
            admissionReviewVersions: ['v1'],
            sideEffects: 'None',
            clientConfig: { service: { name: 'a', namespace: 'b' } },
            rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['*'], resources: ['*'] }],
            objectSelector: { matchExpressions: [{ key: 'a', operator: 'In', values: ['b'] }] },
          },
        ],
      },
    ]),
  ),
  ValidatingAdmissionPolicy: {
    spec: {
      paramKind: { apiVersion: 'v1', kind: 'ConfigMap' },
      matchConstraints: {
        resourceRules: [
          { apiGroups: [''], apiVersions: ['v1'], operations: ['*'], resources: ['*'] },
        ],
      },
      variables: [{ name: 'a', expression: '1' }],
      validations: [{ expression: 'true', message: 'x' }],
    },
  },
  ValidatingAdmissionPolicyBinding: {
    spec: {
      policyName: 'x',
      validationActions: ['Deny'],
      paramRef: { name: 'x', parameterNotFoundAction: 'Deny' },
      matchResources: { namespaceSelector: { matchLabels: { a: 'b' } } },
    },
  },
  CustomResourceDefinition: {
    spec: {
      group: 'a.b',
      scope: 'Cluster',
      names: { plural: 'xs', kind: 'X' },
      conversion: {
        strategy: 'Webhook',
        webhook: {
          clientConfig: { service: { name: 'a', namespace: 'b' } },
          conversionReviewVersions: ['v1'],
        },
      },
      versions: [{ name: 'v1', served: true, storage: true }],
    },
  },
}

/** What the API server does with a body, from decoding to the row of a table. True when it came to the end. */
function process(kind: KindDefinition, body: unknown): boolean {
  const schema = wholeSchema(kind)
  if (decodeProblem(schema, body, kind.kind) !== undefined) return false
  const object = applyDefaults(schema, prune(schema, body)) as KubeObject
  if (typeErrors(schema, object).length > 0) return false
  try {
    const admitted = kind.admit?.(object, context()) ?? object
    kind.admit?.(admitted, context(admitted))
    kind.gracefulDeletion?.(admitted)
    kind.scale?.selector(admitted)
    for (const read of Object.values(kind.selectableFields ?? {}))
      assert.equal(typeof read(admitted), 'string')
    for (const column of kind.columns) column.value(admitted, 0)
    return true
  } catch (thrown) {
    if (!(thrown instanceof StatusError)) throw thrown
    assert.ok(thrown.code >= 400 && thrown.code < 500)
    return false
  }
}

/** Replaces what lies at a random path. `steps` choose the way down. */
function mutated(value: unknown, steps: readonly number[], junk: unknown): unknown {
  const [step = 0, ...rest] = steps
  if (typeof value !== 'object' || value === null || steps.length === 0) return junk
  const keys = Object.keys(value)
  if (keys.length === 0) return junk
  const key = keys[step % keys.length] ?? ''
  const inner = mutated((value as Record<string, unknown>)[key], rest, junk)
  return Array.isArray(value)
    ? value.map((each, i) => (String(i) === key ? inner : each))
    : { ...value, [key]: inner }
}

const mutation = fc.tuple(
  fc.array(fc.nat(20), { minLength: 1, maxLength: 9 }),
  fc.oneof(
    fc.constantFrom<unknown>(null, '', 0, -1, {}, [], [null], [{}], 'None', true, 1e21, '1e9999'),
    fc.jsonValue({ maxDepth: 2 }),
  ),
)

for (const kind of coreKinds)
  test(`${kind.kind}: hostile bodies`, () => {
    const apiVersion = kind.group ? `${kind.group}/${kind.version}` : kind.version
    const metadata = { name: 'x', ...(kind.namespaced && { namespace: 'd' }), labels: { a: 'b' } }
    const sample = { apiVersion, kind: kind.kind, metadata, ...samples[kind.kind] }
    assert.ok(process(kind, sample), 'the sample itself is good')
    fc.assert(
      fc.property(fc.array(mutation, { minLength: 1, maxLength: 3 }), (mutations) => {
        let { metadata: _, ...body }: Record<string, unknown> = sample
        for (const [steps, junk] of mutations) {
          const next = mutated(body, steps, junk)
          if (typeof next === 'object' && next !== null) body = { ...next }
        }
        process(kind, { ...body, metadata })
      }),
      { numRuns: 300 },
    )
  })
