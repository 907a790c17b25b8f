/** The ConfigMaps of knative-serving: defaults, every refusal with its words, old spellings, what they come to. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parse } from 'yaml'
import { servingConfigMaps, servingConfigs } from '../config-maps.ts'
import { configAutoscaler } from './autoscaler.ts'
import { configDefaults, renderContainerName } from './defaults.ts'
import { configDeployment, runtimeClassFor } from './deployment.ts'
import { configDomain, domainFor } from './domain.ts'
import { configFeatures } from './features.ts'
import { configGc } from './gc.ts'
import { configNetwork, renderDomain, renderTag } from './network.ts'
import { configObservability } from './observability.ts'

type Data = Readonly<Record<string, string>>

/** The text a bad ConfigMap is refused with; '' when it is accepted. */
function refused(config: { parse(data: Data): unknown }, data: Data): string {
  try {
    config.parse(data)
    return ''
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

test('config-autoscaler: defaults', () => {
  assert.deepEqual(configAutoscaler.defaults, {
    containerConcurrencyTargetPercentage: 70,
    containerConcurrencyTargetDefault: 100,
    requestsPerSecondTargetDefault: 200,
    targetBurstCapacity: 211,
    stableWindowMs: 60_000,
    panicWindowPercentage: 10,
    panicThresholdPercentage: 200,
    maxScaleUpRate: 1000,
    maxScaleDownRate: 2,
    enableScaleToZero: true,
    scaleToZeroGracePeriodMs: 30_000,
    scaleToZeroPodRetentionPeriodMs: 0,
    scaleDownDelayMs: 0,
    podAutoscalerClass: 'kpa.autoscaling.knative.dev',
    activatorCapacity: 100,
    initialScale: 1,
    allowZeroInitialScale: false,
    minScale: 0,
    maxScale: 0,
    maxScaleLimit: 0,
    freezeForMs: 0,
    freezeMemoryPercentage: 25,
  })
})

test('config-autoscaler: what it refuses', () => {
  for (const [data, wanted] of [
    [{ 'stable-window': '5s' }, 'stable-window = 5s, must be in [6s; 1h0m0s] range'],
    [{ 'stable-window': '61m' }, 'stable-window = 1h1m0s, must be in [6s; 1h0m0s] range'],
    [
      { 'stable-window': '10500ms' },
      'stable-window = 10.5s, must be specified with at most second precision',
    ],
    [
      { 'stable-window': 'long' },
      'failed to parse data: failed to parse "stable-window": time: invalid duration "long"',
    ],
    [
      { 'max-scale': 'x' },
      'failed to parse data: failed to parse "max-scale": strconv.ParseInt: parsing "x": invalid syntax',
    ],
    [
      { 'max-scale-up-rate': 'x' },
      'failed to parse data: failed to parse "max-scale-up-rate": strconv.ParseFloat: parsing "x": invalid syntax',
    ],
    [
      { 'container-concurrency-target-percentage': '0' },
      'container-concurrency-target-percentage = 0.000000 is outside of valid range of (0, 100]',
    ],
    [
      { 'container-concurrency-target-percentage': '101' },
      'container-concurrency-target-percentage = 1.010000 is outside of valid range of (0, 100]',
    ],
    [
      { 'container-concurrency-target-default': '0.01' },
      "container-concurrency-target-percentage and container-concurrency-target-default yield target concurrency of 0.006999999999999999, can't be less than 0.01",
    ],
    [
      { 'requests-per-second-target-default': '0.001' },
      'requests-per-second-target-default must be at least 0.01, was: 0.001',
    ],
    [
      { 'target-burst-capacity': '-2' },
      'target-burst-capacity must be either non-negative or -1 (for unlimited), was: -2.000000',
    ],
    [
      { 'panic-window-percentage': '0.5' },
      'panic-window-percentage = 0.5, must be in [1, 100] interval',
    ],
    [{ 'max-scale-up-rate': '1' }, 'max-scale-up-rate = 1, must be greater than 1.0'],
    [{ 'max-scale-down-rate': '0.9' }, 'max-scale-down-rate = 0.9, must be greater than 1.0'],
    [
      { 'scale-to-zero-grace-period': '0s' },
      'scale-to-zero-grace-period must be positive, was: 0s',
    ],
    [
      { 'scale-to-zero-pod-retention-period': '-1s' },
      'scale-to-zero-pod-retention-period cannot be negative, was: -1s',
    ],
    [{ 'scale-down-delay': '-1s' }, 'scale-down-delay cannot be negative, was: -1s'],
    [
      { 'scale-down-delay': '1100ms' },
      'scale-down-delay = 1.1s, must be specified with at most second precision',
    ],
    [{ 'activator-capacity': '0.5' }, 'activator-capacity = 0.5, must be at least 1'],
    [
      { 'initial-scale': '0' },
      'initial-scale = 0, must be at least 0 (or at least 1 when allow-zero-initial-scale is false)',
    ],
    [{ 'initial-scale': '0', 'allow-zero-initial-scale': 'true' }, ''],
    [{ 'max-scale': '-1' }, 'max-scale = -1, must be in [0, max-scale-limit(0)] range'],
    [{ 'max-scale-limit': '5' }, 'max-scale = 0, must be in [1, max-scale-limit(5)] range'],
    [{ 'max-scale-limit': '-1' }, 'max-scale-limit = -1, must be at least 0'],
    [{ 'min-scale': '-1' }, 'min-scale = -1, must be at least 0'],
    [{ 'min-scale': '3', 'max-scale': '2' }, 'min-scale = 3, must be in [0, max-scale(2)] range'],
    [{ 'tick-interval': '2s', 'enable-scale-to-zero': 'perhaps' }, ''],
  ] as const)
    assert.equal(refused(configAutoscaler, data), wanted)
  const { containerConcurrencyTargetPercentage } = configAutoscaler.parse({
    'container-concurrency-target-percentage': '0.5',
  })
  assert.equal(containerConcurrencyTargetPercentage, 50)
})

test('config-defaults', () => {
  assert.equal(configDefaults.defaults.revisionResponseStartTimeoutSeconds, 300)
  const shorter = configDefaults.parse({ 'revision-timeout-seconds': '100' })
  assert.equal(shorter.revisionResponseStartTimeoutSeconds, 100)
  for (const [data, wanted] of [
    [
      { 'revision-timeout-seconds': '700' },
      'revision-timeout-seconds (700) cannot be greater than max-revision-timeout-seconds (600)',
    ],
    [
      { 'revision-idle-timeout-seconds': '301' },
      'revision-idle-timeout-seconds (301) cannot be greater than revision-timeout-seconds (300)',
    ],
    [
      { 'revision-response-start-timeout-seconds': '301' },
      'revision-response-start-timeout-seconds (301) cannot be greater than revision-timeout-seconds (300)',
    ],
    [
      { 'container-concurrency-max-limit': '0' },
      'expected 1 <= 0 <= 2147483647: container-concurrency-max-limit',
    ],
    [{ 'container-concurrency': '1001' }, 'expected 0 <= 1001 <= 1000: container-concurrency'],
    [
      { 'revision-cpu-request': 'lots' },
      `failed to parse "revision-cpu-request": quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'`,
    ],
    [
      { 'container-name-template': '{{.Nope}}' },
      `error executing template: template: container-template:1: executing "container-template" at <.Nope>: can't evaluate field Nope`,
    ],
  ] as const)
    assert.equal(refused(configDefaults, data), wanted)
  const { containerNameTemplate, enableServiceLinks, limits } = configDefaults.parse({
    'container-name-template': '{{.Namespace}}-{{.Name}}',
    'enable-service-links': 'default',
    'revision-memory-limit': '1Gi',
  })
  assert.equal(renderContainerName(containerNameTemplate, { name: 'a', namespace: 'n' }), 'n-a')
  assert.equal(enableServiceLinks, undefined)
  assert.deepEqual(limits, { memory: '1Gi' })
})

test('config-domain: the rule with most labels wins, then the first by name', () => {
  const config = configDomain.parse({
    _example: 'not: [read',
    'example.com': '',
    'b.example.com': 'selector:\n  app: x\n',
    'a.example.com': '{selector: {app: x}, port: 8080}',
    'c.example.com': 'selector:\n  app: x\n  tier: y\n',
  })
  assert.deepEqual(domainFor(config), { domain: 'example.com' })
  assert.deepEqual(domainFor(config, { app: 'x' }), { domain: 'a.example.com', port: 8080 })
  assert.deepEqual(domainFor(config, { app: 'x', tier: 'y' }), { domain: 'c.example.com' })
  const local = { 'networking.knative.dev/visibility': 'cluster-local' }
  assert.deepEqual(domainFor(config, local), { domain: 'svc.cluster.local' })
  assert.deepEqual(domainFor(configDomain.defaults), { domain: 'svc.cluster.local' })
  assert.equal(
    refused(configDomain, { 'a.b': 'port: 70000' }),
    'a.b: port = 70000, must be in [1, 65535] range',
  )
  assert.match(refused(configDomain, { 'a.b': 'selector: [' }), /^a\.b: yaml: line 1: /)
})

test('config-domain: a key that is no domain is refused by name', () => {
  for (const key of ['-bad-', 'a..b', 'UPPER.io', 'x_y.io'])
    assert.throws(() => configDomain.parse({ [key]: '' }), { message: new RegExp(`^${key}: `) })
})

test('config-autoscaler: a class that nobody serves is refused', () => {
  for (const value of ['', 'mine.autoscaling.knative.dev'])
    assert.throws(() => configAutoscaler.parse({ 'pod-autoscaler-class': value }), {
      message: /^pod-autoscaler-class = /,
    })
})

test('config-domain: an own domain beside the default one takes over, as in the walk-through', () => {
  const config = configDomain.parse({ localhost: 'port: 8080\n', 'knative.kuberun.com': '' })
  assert.deepEqual(domainFor(config), { domain: 'knative.kuberun.com' })
})

test('config-network', () => {
  const { domainTemplate, tagTemplate } = configNetwork.defaults
  const values = { name: 'hello', namespace: 'default', domain: 'example.com' }
  assert.equal(renderDomain(domainTemplate, values), 'hello.default.example.com')
  assert.equal(renderTag(tagTemplate, { tag: 'blue', name: 'hello' }), 'blue-hello')
  const old = configNetwork.parse({
    domainTemplate: '{{.Name}}-{{index .Labels "team"}}.{{.Domain}}',
    autoTLS: 'enabled',
    httpProtocol: 'redirected',
    rolloutDuration: '30',
    'ingress.class': 'x',
  })
  assert.equal(
    renderDomain(old.domainTemplate, { ...values, labels: { team: 'a' } }),
    'hello-a.example.com',
  )
  assert.deepEqual(
    [old.externalDomainTls, old.httpProtocol, old.rolloutDurationSeconds, old.ingressClass],
    [true, 'Redirected', 30, 'x'],
  )
  const both = configNetwork.parse({ 'auto-tls': 'Enabled', 'external-domain-tls': 'Disabled' })
  assert.equal(both.externalDomainTls, false, 'the new key wins')
  for (const [data, wanted] of [
    [
      { 'http-protocol': 'gopher' },
      'httpProtocol gopher in config-network ConfigMap is not supported',
    ],
    [{ 'rollout-duration': '-1' }, 'rollout-duration must be a positive integer, but was -1'],
    [
      { 'rollout-duration': '10s' },
      'failed to parse "rollout-duration": strconv.Atoi: parsing "10s": invalid syntax',
    ],
    [{ 'domain-template': '{{.Domain}}/{{.Name}}' }, 'domain template has url path: /foo'],
    [{ 'domain-template': '' }, 'empty hostname'],
    [
      { 'domain-template': '{{.Nope}}' },
      `template: domain-template:1: executing "domain-template" at <.Nope>: can't evaluate field Nope`,
    ],
    [
      { 'system-internal-tls': 'maybe' },
      'system-internal-tls with value: "maybe" in config-network ConfigMap is not supported',
    ],
  ] as const)
    assert.equal(refused(configNetwork, data), wanted)
})

test('config-features', () => {
  const { defaults } = configFeatures
  assert.deepEqual(
    [defaults.multiContainer, defaults.podSpecVolumesEmptyDir, defaults.podSpecNodeSelector],
    ['Enabled', 'Enabled', 'Disabled'],
  )
  const some = configFeatures.parse({
    'multi-container': 'DISABLED',
    'kubernetes.podspec-nodeselector': 'allowed',
    'kubernetes.podspec-affinity': 'sometimes',
    'secure-pod-defaults': 'allowrootbounded',
  })
  assert.deepEqual(
    [some.multiContainer, some.podSpecNodeSelector, some.podSpecAffinity, some.securePodDefaults],
    ['Disabled', 'Allowed', 'Disabled', 'AllowRootBounded'],
  )
})

test('config-gc', () => {
  assert.deepEqual(configGc.defaults, {
    retainSinceCreateTimeMs: 48 * 3_600_000,
    retainSinceLastActiveTimeMs: 15 * 3_600_000,
    minNonActiveRevisions: 20,
    maxNonActiveRevisions: 1000,
  })
  const off = configGc.parse({
    'retain-since-create-time': 'disabled',
    'retain-since-last-active-time': 'Disabled',
    'max-non-active-revisions': 'disabled',
    'stale-revision-timeout': '1h',
  })
  assert.deepEqual(
    [off.retainSinceCreateTimeMs, off.retainSinceLastActiveTimeMs, off.maxNonActiveRevisions],
    [undefined, undefined, undefined],
  )
  for (const [data, wanted] of [
    [
      { 'min-non-active-revisions': '-1' },
      'min-non-active-revisions must be non-negative, was: -1',
    ],
    [
      { 'min-non-active-revisions': '5', 'max-non-active-revisions': '4' },
      'min-non-active-revisions(5) must be <= max-non-active-revisions(4)',
    ],
    [
      { 'retain-since-create-time': 'x' },
      'failed to parse retain-since-create-time: time: invalid duration "x"',
    ],
    [
      { 'max-non-active-revisions': '-1' },
      'failed to parse max-non-active-revisions: strconv.ParseUint: parsing "-1": invalid syntax',
    ],
  ] as const)
    assert.equal(refused(configGc, data), wanted)
})

test('config-deployment', () => {
  const old = configDeployment.parse({
    progressDeadline: '2m',
    queueSidecarCPURequest: '1',
    'queue-sidecar-cpu-request': '2',
    'runtime-class-name': 'plain: {}\ngvisor:\n  selector:\n    safe: "yes"\n',
  })
  assert.deepEqual([old.progressDeadlineMs, old.queueSidecarCpuRequest], [120_000, '2'])
  assert.equal(runtimeClassFor(old, { safe: 'yes' }), 'gvisor')
  assert.equal(runtimeClassFor(old), 'plain')
  assert.equal(runtimeClassFor(configDeployment.defaults), undefined)
  for (const [data, wanted] of [
    [{ 'progress-deadline': '0s' }, 'progress-deadline cannot be a non-positive duration, was 0s'],
    [
      { 'progress-deadline': '1500ms' },
      'progress-deadline must be rounded to a whole second, was: 1.5s',
    ],
    [
      { 'digest-resolution-timeout': '-1s' },
      'digest-resolution-timeout cannot be a non-positive duration, was -1s',
    ],
    [{ 'default-affinity-type': 'x' }, 'unsupported default-affinity-type value: "x"'],
  ] as const)
    assert.equal(refused(configDeployment, data), wanted)
})

test('config-observability', () => {
  const { requestLogTemplate, enableRequestLog } = configObservability.defaults
  assert.equal(enableRequestLog, false)
  const line = requestLogTemplate?.execute({
    Request: {
      Method: 'GET',
      RequestURI: '/a?b="c"',
      ContentLength: 0,
      UserAgent: () => 'curl',
      RemoteAddr: '127.0.0.1:1',
      Referer: () => '',
      Proto: 'HTTP/1.1',
    },
    Response: { Code: 200, Size: 5, Latency: 0.25 },
    Revision: { PodIP: '10.0.0.1' },
    TraceID: 't',
  })
  const entry = JSON.parse(line ?? '')
  assert.deepEqual(
    [entry.httpRequest.status, entry.httpRequest.requestUrl, entry.httpRequest.latency],
    [200, '/a?b="c"', '0.25s'],
  )
  for (const [data, wanted] of [
    [
      { 'logging.enable-request-log': 'true', 'logging.request-log-template': '' },
      'logging.request-log-template was set to "" while logging.enable-request-log is true',
    ],
    [{ 'metrics-protocol': 'smoke' }, 'unsupported metrics-protocol "smoke"'],
    [
      { 'tracing-protocol': 'grpc' },
      'tracing-endpoint should be set when tracing-protocol is "grpc"',
    ],
    [
      { 'metrics-endpoint': 'http://x' },
      'metrics-endpoint should not be set when metrics-protocol is "none"',
    ],
    [{ 'tracing-sampling-rate': '2' }, 'tracing-sampling-rate = 2, must be in [0, 1] interval'],
  ] as const)
    assert.equal(refused(configObservability, data), wanted)
})

test('each example is YAML, and as settings it is accepted; at the start the domain is set', () => {
  for (const config of servingConfigs) {
    const settings: Record<string, unknown> = parse(config.example)
    const data = Object.fromEntries(
      Object.entries(settings).map(([key, value]) => {
        assert.equal(typeof value, 'string', `${config.name}: ${key}`)
        assert.match(key, /^[-._a-zA-Z0-9]+$/, `${config.name}: no ConfigMap may have this key`)
        return [key, String(value)]
      }),
    )
    assert.equal(refused(config, data), '', config.name)
  }
  const maps = servingConfigMaps({ domain: 'localhost', domainPort: 8080 })
  const domain = maps.find(({ metadata }) => metadata.name === 'config-domain')
  assert.deepEqual(domainFor(configDomain.from(domain)), { domain: 'localhost', port: 8080 })
})

test('a ConfigMap is parsed once, and a bad one says the same again', () => {
  const bad = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'config-gc' },
    data: { 'min-non-active-revisions': '-1' },
  }
  const good = { ...bad, data: {} }
  assert.equal(configGc.from(good), configGc.from(good))
  for (let i = 0; i < 2; i++) assert.throws(() => configGc.from(bad), /must be non-negative/)
})
