import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultPullPolicy } from './container.ts'
import type { AdmissionContext } from './kind.ts'
import { Pod, qosClass } from './pod.ts'
import { ServiceAccount } from './service-account.ts'
import { StatusError } from './status-error.ts'

const context = (old?: Pod, more: Partial<AdmissionContext<Pod>> = {}): AdmissionContext<Pod> => ({
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
  ...more,
})

const pod = (spec: Pod['spec']): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace: 'default' },
  spec,
})

const admitted = (given: Pod, old?: Pod): Pod => Pod.admit?.(given, context(old)) ?? given

function refusal(given: Pod, old?: Pod): string[] {
  try {
    admitted(given, old)
  } catch (thrown) {
    assert.ok(thrown instanceof StatusError)
    return (thrown.details.causes ?? []).map(({ field, message }) => `${field}: ${message}`)
  }
  return []
}

test('a pod is filled in as Kubernetes fills it in', () => {
  const { spec, status } = admitted(
    pod({
      automountServiceAccountToken: false,
      containers: [
        {
          name: 'c',
          image: 'nginx',
          ports: [{ containerPort: 80 }],
          resources: { limits: { cpu: '0.5' } },
          readinessProbe: { httpGet: { port: 80 } },
        },
      ],
      volumes: [{ name: 'v' }, { name: 'w', configMap: { name: 'x' } }],
    }),
  )
  assert.deepEqual(spec, {
    automountServiceAccountToken: false,
    containers: [
      {
        name: 'c',
        image: 'nginx',
        imagePullPolicy: 'Always',
        terminationMessagePath: '/dev/termination-log',
        terminationMessagePolicy: 'File',
        ports: [{ containerPort: 80, protocol: 'TCP' }],
        resources: { limits: { cpu: '500m' }, requests: { cpu: '500m' } },
        readinessProbe: {
          httpGet: { port: 80, path: '/', scheme: 'HTTP' },
          timeoutSeconds: 1,
          periodSeconds: 10,
          successThreshold: 1,
          failureThreshold: 3,
        },
      },
    ],
    volumes: [
      { name: 'v', emptyDir: {} },
      { name: 'w', configMap: { name: 'x', defaultMode: 420 } },
    ],
    restartPolicy: 'Always',
    dnsPolicy: 'ClusterFirst',
    terminationGracePeriodSeconds: 30,
    schedulerName: 'default-scheduler',
    securityContext: {},
    enableServiceLinks: true,
    serviceAccountName: 'default',
    serviceAccount: 'default',
    priority: 0,
    preemptionPolicy: 'PreemptLowerPriority',
    tolerations: ['not-ready', 'unreachable'].map((each) => ({
      key: `node.kubernetes.io/${each}`,
      operator: 'Exists',
      effect: 'NoExecute',
      tolerationSeconds: 300,
    })),
  })
  assert.deepEqual(status, { phase: 'Pending', qosClass: 'Burstable' })
})

test('admitting twice changes nothing', () => {
  const once = admitted(pod({ containers: [{ name: 'c', image: 'nginx' }] }))
  assert.equal(admitted(once, once), once)
})

test('a readiness probe with period 0, which in Knative means "often", keeps it', () => {
  const { spec } = admitted(
    pod({
      containers: [
        {
          name: 'c',
          image: 'x',
          readinessProbe: { tcpSocket: { port: 80 }, periodSeconds: 0 },
          livenessProbe: { tcpSocket: { port: 80 }, periodSeconds: 0 },
        },
      ],
    }),
  )
  assert.equal(spec.containers[0]?.readinessProbe?.periodSeconds, 0)
  assert.equal(spec.containers[0]?.livenessProbe?.periodSeconds, 10)
})

test('images are pulled always only when their tag moves', () => {
  assert.equal(defaultPullPolicy('nginx'), 'Always')
  assert.equal(defaultPullPolicy('nginx:latest'), 'Always')
  assert.equal(defaultPullPolicy('localhost:5000/nginx'), 'Always')
  assert.equal(defaultPullPolicy('nginx:1.25'), 'IfNotPresent')
  assert.equal(defaultPullPolicy('nginx@sha256:0123'), 'IfNotPresent')
})

test('what users get wrong is said in the words of Kubernetes', () => {
  const c = { name: 'c', image: 'x' }
  const container = (more: object) => refusal(pod({ containers: [{ ...c, ...more }] }))
  assert.deepEqual(refusal(pod({ containers: [] })), ['spec.containers: Required value'])
  assert.deepEqual(container({ name: '', image: '' }), [
    'spec.containers[0].name: Required value',
    'spec.containers[0].image: Required value',
  ])
  assert.match(
    container({ name: 'A_b' })[0] ?? '',
    /^spec.containers\[0\].name: Invalid value: "A_b": a lowercase RFC 1123 label/,
  )
  assert.deepEqual(refusal(pod({ containers: [c, c] })), [
    'spec.containers[1].name: Duplicate value: "c"',
  ])
  assert.deepEqual(container({ ports: [{ containerPort: 70_000 }] }), [
    'spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive',
  ])
  assert.deepEqual(container({ livenessProbe: {} }), [
    'spec.containers[0].livenessProbe: Required value: must specify a handler type',
  ])
  assert.deepEqual(
    container({ readinessProbe: { exec: { command: ['x'] }, tcpSocket: { port: 1 } } }),
    [
      'spec.containers[0].readinessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type',
    ],
  )
  assert.deepEqual(container({ volumeMounts: [{ name: 'v', mountPath: '/v' }] }), [
    'spec.containers[0].volumeMounts[0].name: Not found: "v"',
  ])
  assert.deepEqual(container({ env: [{ name: 'A', valueFrom: {} }] }), [
    'spec.containers[0].env[0].valueFrom: Invalid value: "": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`',
  ])
  assert.deepEqual(container({ resources: { limits: { cpu: '1' }, requests: { cpu: '2' } } }), [
    'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
  ])
  assert.deepEqual(container({ imagePullPolicy: 'Sometimes' }), [
    'spec.containers[0].imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never"',
  ])
  assert.deepEqual(
    refusal(
      pod({ containers: [c], volumes: [{ name: 'v', emptyDir: {}, hostPath: { path: '/x' } }] }),
    ),
    ['spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type'],
  )
})

test('files of volumes stay in them, and what only main containers have is theirs', () => {
  const c = { name: 'c', image: 'x' }
  const volume = (more: object) =>
    refusal(pod({ containers: [c], volumes: [{ name: 'v', ...more }] }))
  const items = (path: string) => [{ key: 'k', path }]
  assert.deepEqual(volume({ configMap: { name: 'm', items: items('../x') } }), [
    'spec.volumes[0].configMap.items[0].path: Invalid value: "../x": must not contain \'..\'',
  ])
  assert.deepEqual(volume({ secret: { secretName: 's', items: items('/x') } }), [
    'spec.volumes[0].secret.items[0].path: Invalid value: "/x": must be a relative path',
  ])
  assert.deepEqual(volume({ hostPath: { path: '/a/../b' } }), [
    'spec.volumes[0].hostPath.path: Invalid value: "/a/../b": must not contain \'..\'',
  ])
  const token = { path: 'token', expirationSeconds: 60 }
  assert.deepEqual(volume({ projected: { sources: [{ serviceAccountToken: token }] } }), [
    'spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 60: may not specify a duration less than 10 minutes',
  ])
  const lifecycle = { postStart: { exec: { command: ['x'] } } }
  assert.deepEqual(
    refusal(pod({ containers: [c], initContainers: [{ name: 'i', image: 'x', lifecycle }] })),
    [
      'spec.initContainers[0].lifecycle: Forbidden: may not be set for init containers without restartPolicy=Always',
    ],
  )
  const readinessProbe = { tcpSocket: { port: 1 }, terminationGracePeriodSeconds: 1 }
  assert.deepEqual(refusal(pod({ containers: [{ ...c, readinessProbe }] })), [
    'spec.containers[0].readinessProbe.terminationGracePeriodSeconds: Forbidden: must not be set for readinessProbes',
  ])
})

test('a pod of an absent service account is forbidden', () => {
  const given = pod({ containers: [{ name: 'c', image: 'x' }], serviceAccountName: 'nosa' })
  assert.throws(
    () => admitted(given),
    /pods "p" is forbidden: error looking up service account default\/nosa: serviceaccount "nosa" not found/,
  )
  const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'nosa' } }
  const read: AdmissionContext['read'] = (kind) =>
    (kind.kind === ServiceAccount.kind ? account : undefined) as never
  assert.doesNotThrow(() => Pod.admit?.(given, context(undefined, { read })))
})

test('of a pod only images, tolerations and the like may change, and the node that it waits for', () => {
  const old = admitted(pod({ containers: [{ name: 'c', image: 'nginx:1' }] }))
  const change = (spec: object) => refusal({ ...old, spec: { ...old.spec, ...spec } }, old)
  const [container] = old.spec.containers
  assert.ok(container)
  assert.deepEqual(change({ containers: [{ ...container, image: 'nginx:2' }] }), [])
  assert.deepEqual(change({ activeDeadlineSeconds: 60 }), [])
  assert.deepEqual(change({ nodeName: 'here' }), [])
  assert.deepEqual(change({ tolerations: [...(old.spec.tolerations ?? []), { key: 'x' }] }), [])
  const forbidden = /^spec: Forbidden: pod updates may not change fields other than/
  assert.deepEqual(change({ tolerations: [] }), [], 'the usual ones are put back')
  assert.match(change({ hostname: 'other' })[0] ?? '', forbidden)
  assert.match(change({ containers: [{ ...container, args: ['x'] }] })[0] ?? '', forbidden)
  const hurried: Pod = { ...old, spec: { ...old.spec, activeDeadlineSeconds: 60 } }
  assert.deepEqual(
    refusal({ ...hurried, spec: { ...hurried.spec, activeDeadlineSeconds: 90 } }, hurried),
    ['spec.activeDeadlineSeconds: Invalid value: 90: must be less than or equal to previous value'],
  )
  const bound = { ...old, spec: { ...old.spec, nodeName: 'here' } }
  assert.match(
    refusal({ ...bound, spec: { ...bound.spec, nodeName: 'there' } }, bound)[0] ?? '',
    forbidden,
  )
})

test('the class of service follows from requests and limits', () => {
  const spec = (resources: object): Pod['spec'] => ({ containers: [{ name: 'c', resources }] })
  assert.equal(qosClass(spec({})), 'BestEffort')
  assert.equal(qosClass(spec({ requests: { cpu: '1' } })), 'Burstable')
  const both = { cpu: '1', memory: '1Gi' }
  assert.equal(qosClass(spec({ limits: both, requests: both })), 'Guaranteed')
  assert.equal(
    qosClass(spec({ limits: both, requests: { cpu: '1000m', memory: '1024Mi' } })),
    'Guaranteed',
  )
})

test('only pods that run somewhere end gracefully', () => {
  const base = pod({ containers: [], terminationGracePeriodSeconds: 7 })
  assert.equal(Pod.gracefulDeletion?.(base), undefined)
  const bound: Pod = { ...base, spec: { ...base.spec, nodeName: 'n' } }
  assert.deepEqual(Pod.gracefulDeletion?.(bound), { gracePeriodSeconds: 7 })
  assert.equal(Pod.gracefulDeletion?.({ ...bound, status: { phase: 'Succeeded' } }), undefined)
})
