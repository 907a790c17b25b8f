/** Defaults, validation and columns of the smaller kinds. Pods have tests of their own. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigMap } from './config-map.ts'
import { Deployment } from './deployment.ts'
import { EndpointSlice } from './endpoint-slice.ts'
import { Endpoints } from './endpoints.ts'
import { Event } from './event.ts'
import type { AdmissionContext, KindDefinition } from './kind.ts'
import { Lease } from './lease.ts'
import type { KubeObject } from './meta.ts'
import { Namespace } from './namespace.ts'
import { Node } from './node.ts'
import { ReplicaSet } from './replica-set.ts'
import { Secret } from './secret.ts'
import { Service } from './service.ts'
import { StatusError } from './status-error.ts'

const context = <T extends KubeObject>(old?: T, subresource = ''): AdmissionContext<T> => ({
  operation: old ? 'UPDATE' : 'CREATE',
  ...(old && { old }),
  subresource,
  user: { username: 'me', groups: [] },
  dryRun: false,
  nowMs: 0,
  read: () => undefined,
  allows: () => true,
  list: () => [],
  warn: () => {},
})

const admit = <T extends KubeObject>(kind: KindDefinition<T>, object: T, old?: T): T =>
  kind.admit?.(object, context(old)) ?? object

function refusal<T extends KubeObject>(kind: KindDefinition<T>, object: T, old?: T): string[] {
  try {
    admit(kind, object, old)
  } catch (thrown) {
    assert.ok(thrown instanceof StatusError)
    assert.equal(thrown.code, 422)
    return (thrown.details.causes ?? []).map(({ field, message }) => `${field}: ${message}`)
  }
  return []
}

const cells = <T extends KubeObject>(kind: KindDefinition<T>, object: T, nowMs = 60_000) =>
  kind.columns.map((column) => column.value(object, nowMs))

const core = (kind: string, namespace = 'default') => ({
  apiVersion: 'v1',
  kind,
  metadata: { name: 'x', namespace, creationTimestamp: '1970-01-01T00:00:00Z' },
})

const service = (spec: Service['spec']): Service => ({ ...core('Service'), spec })

test('a Service is filled in; one without address keeps none', () => {
  assert.deepEqual(admit(Service, service({ ports: [{ port: 80 }], selector: { a: 'b' } })).spec, {
    selector: { a: 'b' },
    ports: [{ port: 80, protocol: 'TCP', targetPort: 80 }],
    type: 'ClusterIP',
    sessionAffinity: 'None',
    internalTrafficPolicy: 'Cluster',
    ipFamilies: ['IPv4'],
    ipFamilyPolicy: 'SingleStack',
  })
  assert.deepEqual(
    admit(Service, service({ type: 'ExternalName', externalName: 'x.example' })).spec,
    {
      type: 'ExternalName',
      externalName: 'x.example',
      sessionAffinity: 'None',
    },
  )
  const { spec } = admit(Service, service({ type: 'LoadBalancer', ports: [{ port: 80 }] }))
  assert.equal(spec.externalTrafficPolicy, 'Cluster')
  assert.equal(spec.allocateLoadBalancerNodePorts, true)
})

test('what is wrong with a Service', () => {
  const wrong = (spec: Service['spec']) => refusal(Service, service(spec))
  assert.deepEqual(wrong({}), ['spec.ports: Required value'])
  assert.deepEqual(wrong({ clusterIP: 'None' }), [])
  assert.deepEqual(wrong({ ports: [{ port: 80 }, { port: 81 }] }), [
    'spec.ports[0].name: Required value',
    'spec.ports[1].name: Required value',
  ])
  assert.deepEqual(wrong({ ports: [{ port: 0 }] }), [
    'spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive',
    'spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive',
  ])
  assert.deepEqual(wrong({ type: 'Other', ports: [{ port: 80 }] }), [
    'spec.type: Unsupported value: "Other": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"',
  ])
  assert.deepEqual(wrong({ type: 'ExternalName' }), ['spec.externalName: Required value'])
})

test('columns of Services', () => {
  const balanced: Service = {
    ...service({
      type: 'LoadBalancer',
      ports: [{ port: 80, nodePort: 31_165 }],
      clusterIP: '10.96.0.9',
    }),
    status: { loadBalancer: { ingress: [{ ip: '1.2.3.4' }, { hostname: 'lb.example' }] } },
  }
  assert.deepEqual(cells(Service, balanced), [
    'x',
    'LoadBalancer',
    '10.96.0.9',
    '1.2.3.4,lb.example',
    '80:31165/TCP',
    '60s',
    '<none>',
  ])
  assert.equal(cells(Service, { ...balanced, status: {} })[3], '<pending>')
  const external = service({ type: 'ExternalName', externalName: 'x.example' })
  assert.deepEqual(cells(Service, external).slice(1, 5), [
    'ExternalName',
    '<none>',
    'x.example',
    '<none>',
  ])
})

const deployment = (spec: object = {}): Deployment => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'x', namespace: 'default' },
  spec: {
    selector: { matchLabels: { app: 'x' } },
    template: {
      metadata: { labels: { app: 'x' } },
      spec: { containers: [{ name: 'c', image: 'nginx' }] },
    },
    ...spec,
  },
})

test('a Deployment is filled in, and admitting it again changes nothing', () => {
  const { spec } = admit(Deployment, deployment())
  const { template: _template, selector: _selector, ...rest } = spec
  assert.deepEqual(rest, {
    replicas: 1,
    strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } },
    revisionHistoryLimit: 10,
    progressDeadlineSeconds: 600,
  })
  assert.equal(spec.template.spec?.restartPolicy, 'Always')
  const once = admit(Deployment, deployment())
  assert.equal(admit(Deployment, once, once), once)
})

test('what is wrong with a Deployment', () => {
  const wrong = (spec: object, old?: Deployment) => refusal(Deployment, deployment(spec), old)
  assert.deepEqual(wrong({ replicas: -1 }), [
    'spec.replicas: Invalid value: -1: must be greater than or equal to 0',
  ])
  assert.deepEqual(wrong({ selector: { matchLabels: { app: 'y' } } }), [
    'spec.template.metadata.labels: Invalid value: {"app":"x"}: `selector` does not match template `labels`',
  ])
  assert.deepEqual(wrong({ selector: {} }), [
    'spec.selector: Invalid value: {}: empty selector is invalid for deployment',
  ])
  assert.deepEqual(wrong({ strategy: { type: 'Recreate', rollingUpdate: { maxSurge: 1 } } }), [
    "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
  ])
  assert.deepEqual(wrong({ strategy: { rollingUpdate: { maxSurge: 0, maxUnavailable: 0 } } }), [
    'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0',
  ])
  const old = admit(Deployment, deployment())
  const other = {
    selector: { matchLabels: { app: 'y' } },
    template: { ...old.spec.template, metadata: { labels: { app: 'y' } } },
  }
  assert.match(wrong(other, old)[0] ?? '', /^spec.selector: Invalid value: .*: field is immutable$/)
})

test('scale reads and writes through accessors', () => {
  const given = admit(Deployment, deployment({ replicas: 3 }))
  assert.equal(Deployment.scale?.replicas(given), 3)
  assert.equal(Deployment.scale?.selector(given), 'app=x')
  assert.equal(Deployment.scale?.withReplicas(given, 5).spec.replicas, 5)
  assert.equal(given.spec.replicas, 3)
})

test('columns of Deployments and ReplicaSets', () => {
  const given: Deployment = {
    ...admit(Deployment, deployment({ replicas: 3 })),
    status: { readyReplicas: 1, updatedReplicas: 2, availableReplicas: 1 },
  }
  assert.deepEqual(cells(Deployment, given), [
    'x',
    '1/3',
    '2',
    '1',
    '<unknown>',
    'c',
    'nginx',
    'app=x',
  ])
  const { metadata, spec } = given
  const set = admit(ReplicaSet, {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata,
    spec: { replicas: 3, selector: spec.selector, template: spec.template },
  })
  assert.deepEqual(set.metadata.labels, { app: 'x' }, 'labels come from the template')
  assert.deepEqual(cells(ReplicaSet, set).slice(0, 4), ['x', 3, 0, 0])
})

test('texts of a Secret are stored as bytes; its type stays', () => {
  const secret = admit(Secret, {
    ...core('Secret'),
    stringData: { a: 'grün' },
    data: { b: 'Yg==' },
  })
  assert.deepEqual(secret.data, { a: 'Z3LDvG4=', b: 'Yg==' })
  assert.equal('stringData' in secret, false)
  assert.equal(secret.type, 'Opaque')
  assert.deepEqual(refusal(Secret, { ...secret, type: 'kubernetes.io/ssh-auth' }, secret), [
    'data[ssh-privatekey]: Required value',
    'type: Invalid value: "kubernetes.io/ssh-auth": field is immutable',
  ])
  assert.deepEqual(refusal(Secret, { ...core('Secret'), type: 'kubernetes.io/tls' }), [
    'data[tls.crt]: Required value',
    'data[tls.key]: Required value',
  ])
})

test('a registry credential must be JSON, and is not repeated in the complaint', () => {
  const credential = (text: string): Secret => ({
    ...core('Secret'),
    type: 'kubernetes.io/dockerconfigjson',
    stringData: { '.dockerconfigjson': text },
  })
  assert.deepEqual(refusal(Secret, credential('{"auths":{}}')), [])
  assert.deepEqual(refusal(Secret, credential('hunter2')), [
    'data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": must be valid JSON',
  ])
})

test('ConfigMaps: keys, and nothing changes once immutable', () => {
  const map: ConfigMap = { ...core('ConfigMap'), data: { a: '1' }, immutable: true }
  assert.match(
    refusal(ConfigMap, { ...map, data: { 'a b': '' } })[0] ?? '',
    /^data\[a b\]: Invalid value: "a b": a valid config key/,
  )
  assert.deepEqual(refusal(ConfigMap, { ...map, data: { a: '2' } }, map), [
    'data: Forbidden: field is immutable when `immutable` is set',
  ])
  assert.deepEqual(refusal(ConfigMap, { ...map, data: { a: '1' } }, map), [])
  assert.deepEqual(cells(ConfigMap, map), ['x', '1', '60s'])
})

test('a Namespace is labelled with its name and active; only finalize changes its finalizers', () => {
  const namespace = admit(Namespace, {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'shop', labels: { a: 'b' } },
  })
  assert.deepEqual(namespace.metadata.labels, { a: 'b', 'kubernetes.io/metadata.name': 'shop' })
  assert.deepEqual(namespace.spec, { finalizers: ['kubernetes'] })
  assert.deepEqual(namespace.status, { phase: 'Active' })
  const changed = admit(Namespace, { ...namespace, spec: { finalizers: [] } }, namespace)
  assert.deepEqual(changed.spec, { finalizers: ['kubernetes'] })
})

test('Endpoints show at most three addresses', () => {
  const endpoints: Endpoints = {
    ...core('Endpoints'),
    subsets: [
      {
        addresses: [1, 2, 3, 4].map((i) => ({ ip: `10.0.0.${i}` })),
        ports: [{ port: 80 }],
      },
    ],
  }
  assert.equal(cells(Endpoints, endpoints)[1], '10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 1 more...')
  assert.equal(cells(Endpoints, core('Endpoints'))[1], '<none>')
  assert.match(
    refusal(Endpoints, { ...endpoints, subsets: [{ addresses: [{ ip: 'x' }] }] })[0] ?? '',
    /^subsets\[0\].addresses\[0\].ip: Invalid value: "x"/,
  )
})

test('EndpointSlices', () => {
  const slice: EndpointSlice = {
    ...core('EndpointSlice'),
    addressType: 'IPv4',
    endpoints: [{ addresses: ['10.0.0.1'] }],
    ports: [{ port: 80 }],
  }
  assert.deepEqual(cells(EndpointSlice, slice), ['x', 'IPv4', '80', '10.0.0.1', '60s'])
  assert.deepEqual(refusal(EndpointSlice, { ...slice, endpoints: [{ addresses: [] }] }), [
    'endpoints[0].addresses: Required value: must contain at least 1 address',
  ])
})

test('Events tell when, how often and of what', () => {
  const event: Event = {
    ...core('Event'),
    involvedObject: { kind: 'Pod', name: 'p', namespace: 'default' },
    type: 'Warning',
    reason: 'BackOff',
    message: 'Back-off restarting failed container',
    count: 5,
    firstTimestamp: '1970-01-01T00:00:00Z',
    lastTimestamp: '1970-01-01T00:00:50Z',
    source: { component: 'kubelet', host: 'here' },
  }
  assert.deepEqual(cells(Event, event), [
    '10s (x5 over 60s)',
    'Warning',
    'BackOff',
    'pod/p',
    '',
    'kubelet, here',
    'Back-off restarting failed container',
    '60s',
    '5',
    'x',
  ])
  assert.equal(Event.selectableFields?.['involvedObject.name']?.(event), 'p')
  const elsewhere = { ...event, involvedObject: { kind: 'Pod', namespace: 'other' } }
  assert.deepEqual(refusal(Event, elsewhere), [
    'involvedObject.namespace: Invalid value: "other": does not match event.namespace',
  ])
})

test('Nodes and Leases', () => {
  const node: Node = {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'n', labels: { 'node-role.kubernetes.io/control-plane': '' } },
    spec: { unschedulable: true },
    status: {
      conditions: [{ type: 'Ready', status: 'True' }],
      addresses: [{ type: 'InternalIP', address: '10.0.0.1' }],
    },
  }
  assert.deepEqual(cells(Node, node).slice(0, 7), [
    'n',
    'Ready,SchedulingDisabled',
    'control-plane',
    '<unknown>',
    '',
    '10.0.0.1',
    '<none>',
  ])
  const lease: Lease = { ...core('Lease'), spec: { leaseDurationSeconds: 0 } }
  assert.deepEqual(refusal(Lease, lease), [
    'spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0',
  ])
})
