/** Every complaint about the kinds of Serving as the client reads it, and what is no complaint. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { AdmissionContext, Kind } from '../../kube/api/kind.ts'
import type { KubeObject, ObjectKey } from '../../kube/api/meta.ts'
import { StatusError } from '../../kube/api/status-error.ts'
import { Ingress } from './ingress.ts'
import type { Container } from './pod-spec.ts'
import { PodAutoscaler } from './pod-autoscaler.ts'
import { Revision } from './revision.ts'
import type { RevisionSpec } from './revision-spec.ts'
import { Route } from './route.ts'
import { Service } from './service.ts'
import type { TrafficTarget } from './traffic-target.ts'

type Configs = Readonly<Record<string, Readonly<Record<string, string>>>>

/** Admits an object as a request from outside would have it; answers the refusal, '' when there is none. */
function admit<T extends KubeObject>(
  kind: { readonly admit?: (object: T, context: AdmissionContext<T>) => T },
  object: T,
  {
    configs = {},
    old,
    dryRun = false,
  }: { readonly configs?: Configs; readonly old?: T; readonly dryRun?: boolean } = {},
): { readonly refusal: string; readonly warnings: readonly string[]; readonly admitted?: T } {
  const warnings: string[] = []
  const context: AdmissionContext<T> = {
    operation: old ? 'UPDATE' : 'CREATE',
    ...(old && { old }),
    subresource: '',
    user: { username: 'me', groups: [] },
    dryRun,
    nowMs: 0,
    read<U extends KubeObject>(_kind: Kind<U>, { name, namespace }: ObjectKey): U | undefined {
      const metadata = { name, namespace }
      const data = configs[name]
      return data && ({ apiVersion: 'v1', kind: 'ConfigMap', metadata, data } as unknown as U)
    },
    list: () => [],
    allows: () => true,
    warn: (text) => warnings.push(text),
  }
  assert.ok(kind.admit)
  try {
    return { refusal: '', warnings, admitted: kind.admit(object, context) }
  } catch (error) {
    assert.ok(error instanceof StatusError, String(error))
    assert.equal(error.code, 400)
    assert.equal(error.reason, 'BadRequest')
    const start =
      /^admission webhook "(validation\.)?webhook\.serving\.knative\.dev" denied the request: /
    assert.match(error.message, start)
    const refusal = error.message.replace(start, '').replace(/^validation failed: /, '')
    return { refusal, warnings }
  }
}

const service = (spec: object, metadata: Partial<Service['metadata']> = {}): Service =>
  ({
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Service',
    metadata: { name: 'svc', namespace: 'default', ...metadata },
    spec,
  }) as Service

const pod = (spec: object, configs: Configs = {}) =>
  admit(Service, service({ template: { spec } }), { configs }).refusal

const one = (container: object, configs: Configs = {}, rest: object = {}) =>
  pod({ containers: [{ image: 'app:1', ...container }], ...rest }, configs)

const annotated = (annotations: Record<string, string>, configs: Configs = {}) =>
  admit(
    Service,
    service({ template: { metadata: { annotations }, spec: { containers: [{ image: 'a/b' }] } } }),
    { configs },
  ).refusal

const features = (...on: readonly string[]): Configs => ({
  'config-features': Object.fromEntries(on.map((name) => [name, 'Enabled'])),
})

const at = 'spec.template.spec'
const c0 = `${at}.containers[0]`
const label1035 =
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"

test('containers', () => {
  for (const [refusal, wanted] of [
    [admit(Service, service({})).refusal, `missing field(s): ${at}.containers`],
    [pod({ containers: [] }), `missing field(s): ${at}.containers`],
    [one({ image: '' }), `missing field(s): ${c0}.image`],
    [
      one({ image: 'UPPER' }),
      `Failed to parse image reference: ${c0}.image\nimage: "UPPER", error: could not parse reference: UPPER`,
    ],
    [
      pod(
        { containers: [{ image: 'a/b' }, { image: 'a/c' }] },
        {
          'config-features': { 'multi-container': 'disabled' },
        },
      ),
      `missing field(s): ${at}.containers[*].ports\nmulti-container is off, but found 2 containers`,
    ],
    [
      pod({
        containers: [
          { image: 'a/b', name: 'x', ports: [{ containerPort: 1 }] },
          { image: 'a/c', name: 'x' },
        ],
      }),
      `duplicate container name "x": ${at}.containers[1].name`,
    ],
    [one({ name: 'queue-proxy' }), `"queue-proxy" is a reserved container name: ${c0}.name`],
    [
      one({}, {}, { initContainers: [{ image: 'a/i' }] }),
      `pod spec support for init-containers is off, but found 1 init containers`,
    ],
    [
      one({}, features('kubernetes.podspec-init-containers'), {
        initContainers: [{ image: 'a/i', livenessProbe: { exec: {} }, stdin: true }],
      }),
      `field not allowed in an init container: ${at}.initContainers[0].livenessProbe\nmust not set the field(s): ${at}.initContainers[0].stdin`,
    ],
    [one({ imagePullPolicy: 'Often' }), `invalid value: Often: ${c0}.imagePullPolicy`],
    [one({ terminationMessagePolicy: 'No' }), `invalid value: No: ${c0}.terminationMessagePolicy`],
  ] as const)
    assert.equal(refusal, wanted)
})

test('ports', () => {
  const ports = (...list: readonly object[]) => one({ ports: list })
  assert.equal(ports({ containerPort: 8080 }), '')
  assert.equal(ports({ containerPort: 8080, name: 'h2c' }), '')
  assert.equal(
    ports({ containerPort: 1 }, { containerPort: 2 }),
    `more than one container port is set: ${at}.containers[*].ports\nOnly a single port is allowed across all containers`,
  )
  assert.equal(
    ports({ containerPort: 80, name: 'grpc' }),
    `Port name grpc is not allowed: ${c0}.ports\nName must be empty, or one of: 'h2c', 'http1'`,
  )
  assert.equal(
    ports({ containerPort: 80, protocol: 'UDP' }),
    `invalid value: UDP: ${c0}.ports.protocol`,
  )
  for (const port of [8012, 8013, 8022, 9090, 9091, 8008])
    assert.equal(
      ports({ containerPort: port }),
      `invalid value: ${port} is a reserved port: ${c0}.ports.containerPort\n${port} is a reserved port, please use a different value`,
    )
  assert.equal(
    ports({ containerPort: 65_536 }),
    `expected 0 <= 65536 <= 65535: ${c0}.ports.containerPort`,
  )
})

test('environment', () => {
  const env = (...list: readonly object[]) => one({ env: list })
  for (const name of ['PORT', 'K_SERVICE', 'K_CONFIGURATION', 'K_REVISION'])
    assert.equal(env({ name }), `"${name}" is a reserved environment variable: ${c0}.env[0].name`)
  assert.equal(env({ name: '' }), `missing field(s): ${c0}.env[0].name`)
  assert.equal(
    env({ name: 'A', valueFrom: { fieldRef: { fieldPath: 'x' } } }),
    `must not set the field(s): ${c0}.env[0].valueFrom.fieldRef`,
  )
  assert.equal(
    one({ envFrom: [{}] }),
    `expected exactly one, got neither: ${c0}.envFrom[0].configMapRef, ${c0}.envFrom[0].secretRef`,
  )
  const sidecar = { image: 'a/s', name: 's', env: [{ name: 'PORT', value: '1' }] }
  assert.equal(
    pod({ containers: [{ image: 'a/b', ports: [{ containerPort: 80 }] }, sidecar] }),
    '',
    'PORT is allowed in sidecars',
  )
})

test('probes', () => {
  const readiness = (probe: object) => one({ readinessProbe: probe })
  const p = `${c0}.readinessProbe`
  assert.equal(readiness({ httpGet: { path: '/' } }), '')
  assert.equal(
    one({ livenessProbe: { periodSeconds: 1 } }),
    `expected exactly one, got neither: ${c0}.livenessProbe.exec, ${c0}.livenessProbe.grpc, ${c0}.livenessProbe.httpGet, ${c0}.livenessProbe.tcpSocket`,
  )
  assert.equal(
    readiness({ httpGet: {}, tcpSocket: {} }),
    `expected exactly one, got both: ${p}.httpGet, ${p}.tcpSocket`,
  )
  assert.equal(
    readiness({ httpGet: { port: 'x' } }),
    `invalid value: x: ${p}.httpGet.port\nProbe port must match container port`,
  )
  assert.equal(readiness({ httpGet: { port: 'http' } }), '', 'an unnamed port counts as http')
  assert.equal(
    readiness({ tcpSocket: {}, failureThreshold: 3, timeoutSeconds: 1 }),
    `failureThreshold is disallowed when periodSeconds is zero: ${p}.failureThreshold\ntimeoutSeconds is disallowed when periodSeconds is zero: ${p}.timeoutSeconds`,
  )
  assert.equal(
    readiness({ tcpSocket: {}, periodSeconds: -1, failureThreshold: -1 }),
    `expected 0 <= -1 <= 2147483647: ${p}.periodSeconds\nexpected 1 <= -1 <= 2147483647: ${p}.failureThreshold`,
  )
  assert.equal(
    readiness({ tcpSocket: {}, initialDelaySeconds: -1, successThreshold: -2 }),
    `expected 0 <= -1 <= 2147483647: ${p}.initialDelaySeconds\nexpected 1 <= -2 <= 2147483647: ${p}.successThreshold`,
  )
  const two = (sidecar: object) => ({
    containers: [
      { image: 'a/b', ports: [{ containerPort: 80 }] },
      { image: 'a/s', ...sidecar },
    ],
  })
  const s = `${at}.containers[1].livenessProbe`
  const probed = { livenessProbe: { tcpSocket: {}, periodSeconds: 1 } }
  assert.equal(pod(two(probed)), `must not set the field(s): ${s}.periodSeconds, ${s}.tcpSocket`)
  assert.equal(
    pod(two(probed), features('multi-container-probing')),
    `invalid value: 0: ${s}.tcpSocket.port\nProbe port must be specified`,
  )
})

test('security', () => {
  const security = (securityContext: object, configs?: Configs) => one({ securityContext }, configs)
  const p = `${c0}.securityContext`
  assert.equal(security({ privileged: true }), `must not set the field(s): ${p}.privileged`)
  assert.equal(security({ privileged: false }), '')
  assert.equal(
    security({ capabilities: { add: ['X'] } }),
    `must not set the field(s): ${p}.capabilities.add`,
  )
  assert.equal(
    security(
      { capabilities: { add: ['X'] } },
      features('kubernetes.containerspec-addcapabilities'),
    ),
    '',
  )
  assert.equal(
    security({ runAsUser: -1, runAsGroup: 2 ** 31 }),
    `expected 0 <= -1 <= 2147483647: ${p}.runAsUser\nexpected 0 <= 2147483648 <= 2147483647: ${p}.runAsGroup`,
  )
  const pods = { securityContext: { fsGroup: -1, supplementalGroups: [1, -2], sysctls: [] } }
  assert.equal(one({}, {}, pods), `must not set the field(s): ${at}.securityContext`)
  assert.equal(
    one({}, features('kubernetes.podspec-securitycontext'), pods),
    `expected 0 <= -1 <= 2147483647: ${at}.securityContext.fsGroup\nexpected 0 <= -2 <= 2147483647: ${at}.securityContext.supplementalGroups[1]\nmust not set the field(s): ${at}.securityContext.sysctls`,
  )
})

test('insecure defaults are one warning, and none when all is set', () => {
  const warned = (securityContext: object) =>
    admit(
      Service,
      service({ template: { spec: { containers: [{ image: 'a/b', securityContext }] } } }),
    ).warnings
  const safe = {
    runAsNonRoot: true,
    allowPrivilegeEscalation: false,
    seccompProfile: { type: 'RuntimeDefault' },
    capabilities: { drop: ['ALL'] },
  }
  assert.deepEqual(warned(safe), [])
  assert.deepEqual(warned({ ...safe, capabilities: {} }), [
    `Kubernetes default value is insecure, Knative may default this to secure in a future release: ${c0}.securityContext.capabilities.drop`,
  ])
  assert.deepEqual(warned({ ...safe, capabilities: { drop: ['all'] } }), [
    `invalid value: all: ${c0}.securityContext.capabilities.drop\nMust be spelled as 'ALL'`,
  ])
})

test('the rest of the pod', () => {
  assert.equal(
    one({}, {}, { serviceAccountName: 'foo@bar.baz' }),
    `invalid value: foo@bar.baz: ${at}.serviceAccountName\na lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`,
  )
  assert.equal(
    one({}, {}, { nodeSelector: { a: 'b' }, hostNetwork: true, tolerations: [], hostPID: false }),
    `must not set the field(s): ${at}.hostNetwork, ${at}.nodeSelector`,
  )
  assert.equal(
    one({}, {}, { automountServiceAccountToken: true }),
    `must not set the field(s): ${at}.automountServiceAccountToken`,
  )
  assert.equal(one({}, {}, { automountServiceAccountToken: false }), '')
  assert.equal(
    one({}, {}, { containerConcurrency: 1001, timeoutSeconds: 601 }),
    `expected 0 <= 1001 <= 1000: ${at}.containerConcurrency\nexpected 0 <= 601 <= 600: ${at}.timeoutSeconds`,
  )
  assert.equal(
    one(
      {},
      {
        'config-defaults': {
          'allow-container-concurrency-zero': 'false',
          'container-concurrency': '0',
        },
      },
    ),
    `expected 1 <= 0 <= 1000: ${at}.containerConcurrency`,
  )
})

test('volumes and mounts', () => {
  const volumes = (list: readonly object[], mounts: readonly object[], configs?: Configs) =>
    one({ volumeMounts: mounts }, configs, { volumes: list })
  const v = `${at}.volumes[0]`
  const m = `${c0}.volumeMounts[0]`
  const secret = { name: 'v', secret: { secretName: 's' } }
  const mount = { name: 'v', mountPath: '/v' }
  assert.equal(volumes([secret], [mount]), '')
  assert.equal(volumes([secret], []), `volume with name "v" not mounted: ${v}.name`)
  assert.equal(
    volumes([secret, secret], [mount]),
    `duplicate volume name "v": ${at}.volumes[1].name`,
  )
  assert.equal(
    volumes([{ name: 'v' }], [mount]),
    `expected exactly one, got neither: ${v}.configMap, ${v}.emptyDir, ${v}.projected, ${v}.secret`,
  )
  assert.equal(
    volumes([{ name: 'v', hostPath: { path: '/' } }], [{ ...mount, readOnly: true }]),
    `HostPath volume support is disabled, but found HostPath volume v`,
  )
  assert.equal(
    volumes([{ name: 'v', persistentVolumeClaim: { claimName: 'c' } }], [mount]),
    `Persistent volume claim support is disabled, but found persistent volume claim c\nPersistent volume write support is disabled, but found persistent volume claim c that is not read-only`,
  )
  assert.equal(
    volumes([{ name: 'v', emptyDir: { medium: 'Disk', sizeLimit: '-1' } }], [mount]),
    `invalid value: -1: ${v}.emptyDir.sizeLimit\ninvalid value: Disk: ${v}.emptyDir.medium`,
  )
  assert.equal(
    volumes([{ name: 'v', projected: { sources: [{}] } }], [mount]),
    `expected exactly one, got neither: ${v}.projected.sources[0].configMap, ${v}.projected.sources[0].downwardAPI, ${v}.projected.sources[0].secret, ${v}.projected.sources[0].serviceAccountToken`,
  )
  assert.equal(
    volumes([{ name: 'v', secret: { secretName: 's', items: [{}] } }], [mount]),
    `missing field(s): ${v}.secret.items[0].key, ${v}.secret.items[0].path`,
  )
  for (const path of ['/', '/dev', '/dev/', '/dev/./log'])
    assert.match(volumes([secret], [{ name: 'v', mountPath: path }]), / is a reserved path: /)
  assert.equal(
    volumes([secret], [{ name: 'v', mountPath: 'v' }]),
    `invalid value: v: ${m}.mountPath`,
  )
  assert.equal(
    volumes([secret], [mount, { name: 'v', mountPath: '/x/../v' }]),
    `invalid value: "/x/../v" must be unique: ${c0}.volumeMounts[1].mountPath`,
  )
  assert.equal(
    volumes([secret], [mount, { name: 'w', mountPath: '/w' }]),
    `volumeMount has no matching volume: ${c0}.volumeMounts[1].name`,
  )
  assert.equal(
    volumes([secret], [{ ...mount, mountPropagation: 'None' }]),
    `Volume Mount Propagation support is disabled, but found volume mount v with mount propagation`,
  )
  const claims = features('kubernetes.podspec-persistent-volume-claim')
  assert.equal(
    volumes(
      [{ name: 'v', persistentVolumeClaim: { claimName: 'c', readOnly: true } }],
      [mount],
      claims,
    ),
    `volume is readOnly but volume mount is not: ${m}.readOnly`,
  )
})

test('names, labels and annotations of the object', () => {
  const template = { spec: { containers: [{ image: 'a/b' }] } }
  const named = (metadata: Partial<Service['metadata']>) =>
    admit(Service, service({ template }, metadata)).refusal
  assert.equal(named({ name: '1abc' }), `not a DNS 1035 label: [${label1035}]: metadata.name`)
  assert.equal(
    named({ name: 'x'.repeat(64) }),
    'not a DNS 1035 label: [must be no more than 63 characters]: metadata.name',
  )
  assert.equal(
    named({ name: '', generateName: 'Big-' }),
    `not a DNS 1035 label prefix: [${label1035}]: metadata.generateName`,
  )
  assert.equal(named({ name: '' }), 'name or generateName is required: metadata.name')
  assert.equal(
    named({ annotations: { 'autoscaling.knative.dev/min-scale': '1' } }),
    'invalid key name "autoscaling.knative.dev/min-scale": metadata.annotations\nautoscaling annotations must be put under "spec.template.metadata.annotations" to work',
  )
  const rollout = (value: string) =>
    named({ annotations: { 'serving.knative.dev/rolloutDuration': value } })
  const key = 'metadata.annotations.serving.knative.dev/rolloutDuration'
  assert.equal(rollout('10'), `invalid value: 10: ${key}`)
  assert.equal(rollout('1.5s'), `rollout-duration=1.5s is not at second precision: ${key}`)
  assert.equal(rollout('-1s'), `rollout-duration=-1s must be positive: ${key}`)
  assert.equal(rollout('1m'), '')

  const route = (labels: Record<string, string>) => ({
    apiVersion: 'serving.knative.dev/v1',
    kind: 'Route',
    metadata: { name: 'r', namespace: 'default', labels },
    spec: { traffic: [{ configurationName: 'c', percent: 100 }] },
  })
  assert.equal(
    admit(Route, route({ 'serving.knative.dev/service': 's' })).refusal,
    'missing field(s): metadata.labels.serving.knative.dev/service',
  )
  // The garbage collector may take the owner away.
  const orphan = route({ 'serving.knative.dev/service': 's' })
  assert.equal(admit(Route, orphan, { old: orphan }).refusal, '')
})

test('the old visibility label becomes today’s', () => {
  const metadata = { labels: { 'serving.knative.dev/visibility': 'cluster-local' } }
  const { admitted } = admit(
    Service,
    service({ template: { spec: { containers: [{ image: 'a/b' }] } } }, metadata),
  )
  assert.equal(admitted?.metadata.labels?.['networking.knative.dev/visibility'], 'cluster-local')
})

test('names and annotations of the template', () => {
  const template = (metadata: object, parent: Partial<Service['metadata']> = {}) =>
    admit(
      Service,
      service({ template: { metadata, spec: { containers: [{ image: 'a/b' }] } } }, parent),
    ).refusal
  const name = 'spec.template.metadata.name'
  assert.equal(template({ name: 'svc-v1' }), '')
  assert.equal(template({ name: 'v1' }), `invalid value: "v1" must have prefix "svc-": ${name}`)
  assert.equal(
    template({ name: 'svc-V' }),
    `invalid value: not a DNS 1035 label: [${label1035}]: ${name}`,
  )
  assert.equal(
    template({ name: 'svc-v1' }, { name: 'svc-abc', generateName: 'svc-' }),
    `must not set the field(s): ${name}`,
  )
  const a = 'spec.template.metadata.annotations'
  assert.equal(
    annotated({ 'networking.knative.dev/other': 'x' }),
    `invalid key name "networking.knative.dev/other": ${a}`,
  )
  assert.equal(annotated({ 'networking.knative.dev/http-protocol': 'Redirected' }), '')
  const cpu = 'queue.sidecar.serving.knative.dev/cpu-resource-request'
  assert.equal(annotated({ [cpu]: 'x' }), `invalid value: x: ${a}[${cpu}]`)
  const percentage = 'queue.sidecar.serving.knative.dev/resource-percentage'
  assert.equal(annotated({ [percentage]: '0' }), `expected 0.1 <= 0 <= 100: ${a}[${percentage}]`)
  const deadline = 'serving.knative.dev/progress-deadline'
  assert.equal(
    annotated({ [deadline]: '1500ms' }),
    `progress-deadline=1500ms is not at second precision: ${a}.${deadline}`,
  )
  assert.equal(
    annotated({ [deadline]: '-1s' }),
    `progress-deadline=-1s must be positive: ${a}.${deadline}`,
  )
  assert.equal(annotated({ [deadline]: 'x' }), `invalid value: x: ${a}.${deadline}`)
})

test('autoscaling annotations', () => {
  const key = (name: string) => `spec.template.metadata.annotations.autoscaling.knative.dev/${name}`
  const cases: readonly (readonly [Record<string, string>, string])[] = [
    [{ 'min-scale': '-1' }, `expected 0 <= -1 <= 2147483647: ${key('min-scale')}`],
    [{ minScale: 'x' }, `invalid value: x: ${key('minScale')}`],
    [{ 'min-scale': '1', minScale: 'x' }, ''],
    [
      { minScale: '2', maxScale: '1' },
      `max-scale=1 is less than min-scale=2: ${key('maxScale')}, ${key('minScale')}`,
    ],
    [{ class: 'x.knative.dev' }, `invalid value: x.knative.dev: ${key('class')}`],
    [{ class: 'mine.example.com', metric: 'anything' }, ''],
    [{ metric: 'cpu' }, `invalid value: cpu: ${key('metric')}`],
    [{ class: 'hpa.autoscaling.knative.dev', metric: 'cpu' }, ''],
    [{ target: '0.001' }, `target 0.001 should be at least 0.01: ${key('target')}`],
    [{ target: 'many' }, `invalid value: many: ${key('target')}`],
    [
      { targetUtilizationPercentage: '0' },
      `expected 1 <= 0 <= 100: ${key('targetUtilizationPercentage')}`,
    ],
    [{ 'target-burst-capacity': '-2' }, `invalid value: -2: ${key('target-burst-capacity')}`],
    [{ 'target-burst-capacity': '-1' }, ''],
    [
      { 'initial-scale': '0' },
      `invalid value: 0: ${key('initial-scale')}=0 not allowed by cluster`,
    ],
    [
      { 'initial-scale': '-1' },
      `invalid value: -1: ${key('initial-scale')} must be greater than 0`,
    ],
    [
      { 'activation-scale': '1' },
      `activation-scale=1 must be greater than 1: ${key('activation-scale')}`,
    ],
    [
      { 'activation-scale': '2', 'min-scale': '3' },
      `min-scale=3 is greater than activation-scale=2: ${key('activation-scale')}, ${key('min-scale')}`,
    ],
    [
      { 'activation-scale': '3', 'max-scale': '2' },
      `max-scale=2 is less than activation-scale=3: ${key('activation-scale')}, ${key('max-scale')}`,
    ],
    [{ window: '5s' }, `expected 6s <= 5s <= 1h0m0s: ${key('window')}`],
    [{ window: '6500ms' }, `must be specified with at most second precision: ${key('window')}`],
    [{ window: 'long' }, `invalid value: long: ${key('window')}`],
    [{ 'scale-down-delay': '2h' }, `expected 0s <= 2h <= 1h0m0s: ${key('scale-down-delay')}`],
    [
      { 'scale-to-zero-pod-retention-period': '-1s' },
      `expected 0s <= -1s <= 1h0m0s: ${key('scale-to-zero-pod-retention-period')}`,
    ],
    [{ panicWindowPercentage: '101' }, `expected 1 <= 101 <= 100: ${key('panicWindowPercentage')}`],
    [
      { 'panic-threshold-percentage': '109' },
      `expected 110 <= 109 <= 1000: ${key('panic-threshold-percentage')}`,
    ],
    [{ 'metric-aggregation-algorithm': 'mean' }, ''],
    [
      { class: 'kpa.autoscaling.knative.dev', 'metric-aggregation-algorithm': 'mean' },
      `invalid value: mean: ${key('metric-aggregation-algorithm')}`,
    ],
  ]
  for (const [short, wanted] of cases) {
    const annotations = Object.fromEntries(
      Object.entries(short).map(([name, value]) => [`autoscaling.knative.dev/${name}`, value]),
    )
    assert.equal(annotated(annotations), wanted, JSON.stringify(short))
  }
  const limited = { 'config-autoscaler': { 'max-scale-limit': '5', 'max-scale': '5' } }
  for (const max of ['0', '6'])
    assert.equal(
      annotated({ 'autoscaling.knative.dev/max-scale': max }, limited),
      `expected 1 <= ${max} <= 5: ${key('max-scale')}`,
    )
})

const traffic = (...targets: readonly TrafficTarget[]) =>
  admit(
    Service,
    service({ template: { spec: { containers: [{ image: 'a/b' }] } }, traffic: targets }),
  ).refusal

test('traffic', () => {
  const latest = { latestRevision: true }
  for (const [refusal, wanted] of [
    [traffic({ ...latest, percent: 90 }), 'Traffic targets sum to 90, want 100: spec.traffic'],
    [
      traffic({ ...latest, percent: 101 }, { revisionName: 'r', percent: -1 }),
      'expected 0 <= -1 <= 100: spec.traffic[1].percent\nexpected 0 <= 101 <= 100: spec.traffic[0].percent',
    ],
    [
      traffic({ ...latest, percent: 100, tag: 'a' }, { revisionName: 'r', tag: 'a' }),
      'Multiple definitions for "a": spec.traffic[0].tag, spec.traffic[1].tag',
    ],
    [
      traffic({ ...latest, percent: 100, tag: 'A' }),
      `invalid value: not a DNS 1035 label: [${label1035}]: spec.traffic.tag[0]`,
    ],
    [
      traffic({ ...latest, percent: 100, revisionName: 'r' }),
      'may not set revisionName "r" when latestRevision is true: spec.traffic[0].latestRevision',
    ],
    [
      traffic({ latestRevision: false, percent: 100 }),
      'may not set revisionName "" when latestRevision is false: spec.traffic[0].latestRevision',
    ],
    [
      traffic({ configurationName: 'c', percent: 100 }),
      'must not set the field(s): spec.traffic[0].configurationName',
    ],
    [
      traffic({ ...latest, percent: 100, url: 'http://x' }),
      'must not set the field(s): spec.traffic[0].url',
    ],
  ] as const)
    assert.equal(refusal, wanted)
  assert.match(
    traffic({ revisionName: 'a b', percent: 100 }),
    /^invalid key name "a b": spec\.traffic\[0\]\.revisionName\nname part must consist/,
  )

  const route = (target: TrafficTarget) =>
    admit(Route, {
      apiVersion: 'serving.knative.dev/v1',
      kind: 'Route',
      metadata: { name: 'r', namespace: 'default' },
      spec: { traffic: [{ percent: 100, ...target }] },
    }).refusal
  const both = 'spec.traffic[0].configurationName, spec.traffic[0].revisionName'
  assert.equal(route({}), `expected exactly one, got neither: ${both}`)
  assert.equal(
    route({ configurationName: 'c', revisionName: 'r' }),
    `expected exactly one, got both: ${both}`,
  )
})

test('traffic is accepted exactly when its percents sum to 100', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 100 }), { minLength: 1, maxLength: 6 }),
      (percents) => {
        const targets = percents.map((percent, i) => ({ revisionName: `r-${i}`, percent }))
        const sum = percents.reduce((a, b) => a + b, 0)
        assert.equal(
          traffic(...targets),
          sum === 100 ? '' : `Traffic targets sum to ${sum}, want 100: spec.traffic`,
        )
      },
    ),
  )
})

test('a Revision does not change; its annotations do', () => {
  const revision = (spec: Partial<RevisionSpec>, annotations: Record<string, string> = {}) => {
    const containers: Container[] = [{ name: 'c', image: 'a/b' }]
    return {
      apiVersion: 'serving.knative.dev/v1',
      kind: 'Revision',
      metadata: { name: 'r', namespace: 'default', annotations },
      spec: { containers, ...spec },
    }
  }
  const { admitted: old } = admit(Revision, revision({}))
  assert.ok(old)
  const containers: Container[] = old.spec.containers.map((each) => ({ ...each, image: 'a/c' }))
  assert.equal(
    admit(Revision, { ...old, spec: { ...old.spec, containers, timeoutSeconds: 1 } }, { old })
      .refusal,
    `Immutable fields changed (-old +new): spec
{v1.RevisionSpec}.PodSpec.Containers[0].Image:
\t-: "a/b"
\t+: "a/c"
{v1.RevisionSpec}.TimeoutSeconds:
\t-: "300"
\t+: "1"`,
  )
  const annotations = { 'autoscaling.knative.dev/min-scale': '3' }
  const scaled = { ...old, metadata: { ...old.metadata, annotations } }
  assert.equal(admit(Revision, scaled, { old }).refusal, '')
})

test('PodAutoscaler gets its class and metric, Ingress its visibility and percents', () => {
  const { admitted } = admit(PodAutoscaler, {
    apiVersion: 'autoscaling.internal.knative.dev/v1alpha1',
    kind: 'PodAutoscaler',
    metadata: { name: 'r', namespace: 'default' },
    spec: {
      protocolType: 'http1',
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'd' },
    },
  })
  assert.deepEqual(admitted?.metadata.annotations, {
    'autoscaling.knative.dev/class': 'kpa.autoscaling.knative.dev',
    'autoscaling.knative.dev/metric': 'concurrency',
  })
  const ingress = (...percents: readonly number[]): Ingress => ({
    apiVersion: 'networking.internal.knative.dev/v1alpha1',
    kind: 'Ingress',
    metadata: { name: 'r', namespace: 'default' },
    spec: {
      rules: [
        {
          hosts: ['a.b'],
          http: {
            paths: [
              {
                splits: percents.map((percent) => ({
                  serviceName: 's',
                  serviceNamespace: 'default',
                  servicePort: 80,
                  percent,
                })),
              },
            ],
          },
        },
      ],
    },
  })
  const lone = admit(Ingress, ingress(0)).admitted?.spec.rules?.[0]
  assert.equal(lone?.visibility, 'ExternalIP')
  assert.equal(lone?.http?.paths[0]?.splits[0]?.percent, 100)
  assert.equal(
    admit(Ingress, ingress(50, 40)).refusal,
    'traffic split percentage must total to 100, but was 90: spec.rules[0].http.paths[0].splits',
  )
})

test('a dry run also makes a Pod of the template', () => {
  const resources = { requests: { cpu: '2' }, limits: { cpu: '1' } }
  const greedy = service({ template: { spec: { containers: [{ image: 'a/b', resources }] } } })
  assert.equal(admit(Service, greedy).refusal, '')
  assert.match(
    admit(Service, greedy, { dryRun: true }).refusal,
    /^validation callback failed: dry run failed with Pod "dry-run-validation" is invalid: .*: spec\.template$/,
  )
  const plain = service({ template: { spec: { containers: [{ image: 'a/b' }] } } })
  assert.equal(admit(Service, plain, { dryRun: true }).refusal, '')
})

test('what was admitted is admitted again as it is, and nothing given is touched', () => {
  const probe = fc.option(
    fc.record(
      {
        periodSeconds: fc.nat(3),
        httpGet: fc.constant({ path: '/' }),
        successThreshold: fc.nat(1),
      },
      { requiredKeys: [] },
    ),
    { nil: undefined },
  )
  const container = fc.record(
    {
      image: fc.constant('a/b'),
      name: fc.constantFrom('user-container', 'x'),
      readinessProbe: probe,
      resources: fc.constantFrom({}, { limits: { cpu: '1' } }),
    },
    { requiredKeys: ['image'] },
  )
  const frozen = <V>(value: V): V => {
    if (typeof value === 'object' && value !== null) {
      for (const part of Object.values(value)) frozen(part)
      Object.freeze(value)
    }
    return value
  }
  fc.assert(
    fc.property(container, fc.constantFrom(undefined, 'svc-v1'), (each, name) => {
      const spec = { containers: [each] }
      const given = frozen(service({ template: { ...(name && { metadata: { name } }), spec } }))
      const { admitted, refusal } = admit(Service, given)
      assert.ok(admitted, refusal)
      const again = admit(Service, frozen(admitted), { old: admitted })
      assert.deepEqual(again.admitted, admitted)
    }),
  )
})

test('what the schema keeps unseen must still be of Kubernetes’ types', () => {
  const undecodable = (spec: object) =>
    pod({ containers: [{ image: 'a/b' }], ...spec }).replace(
      'decoding request failed: cannot decode incoming new object: ',
      '',
    )
  for (const [spec, wanted] of [
    [
      { initContainers: [{ image: 7 }] },
      'json: cannot unmarshal number into Go struct field Container.initContainers.image of type string',
    ],
    [{ initContainers: [null] }, 'spec.initContainers[0] is null'],
    [
      { securityContext: { supplementalGroups: 'x' } },
      'json: cannot unmarshal string into Go struct field PodSecurityContext.securityContext.supplementalGroups of type []int64',
    ],
  ] as const)
    assert.equal(undecodable(spec), wanted)
})
