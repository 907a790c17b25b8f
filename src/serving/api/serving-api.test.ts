/** Book manifests and refusals through the real API server, as kubectl sends them. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parse } from 'yaml'
import { coreKinds } from '../../kube/api/kinds.ts'
import type { UserInfo } from '../../kube/api/kind.ts'
import type { ApiResponse, PatchType } from '../../kube/api/protocol.ts'
import { StatusError } from '../../kube/api/status-error.ts'
import { inMemoryPlatform } from '../../testing/platform.ts'
import { SimClock } from '../../testing/sim-clock.ts'
import { configMapAdmission, exampleChecksum, servingConfigMaps } from './config-maps.ts'
import { servingKinds } from './kinds.ts'
import type { Service } from './service.ts'

const user: UserInfo = { username: 'kubernetes-admin', groups: ['system:masters'] }

interface Sent {
  readonly apiVersion: string
  readonly kind: string
  readonly data?: object | undefined
  readonly metadata: {
    readonly name?: string
    readonly namespace?: string
    readonly annotations?: object
  }
}

interface Cluster {
  send(verb: 'create' | 'update' | 'get', object: Sent, strict?: boolean): Promise<ApiResponse>
  patch(version: string, name: string, type: PatchType, body: unknown): Promise<ApiResponse>
}

async function cluster(): Promise<Cluster & AsyncDisposable> {
  const platform = inMemoryPlatform({
    kinds: [...coreKinds, ...servingKinds],
    clock: new SimClock(),
    admission: [configMapAdmission],
  })
  const { api } = platform
  const self: Cluster & AsyncDisposable = {
    send(verb, object, strict = true) {
      const [group = '', version = ''] = object.apiVersion.includes('/')
        ? object.apiVersion.split('/')
        : ['', object.apiVersion]
      const kind = api.kinds.find((each) => each.kind === object.kind && each.group === group)
      assert.ok(kind, `${object.kind} of ${group} is not served`)
      return api.handle({
        verb,
        group,
        version,
        resource: kind.plural,
        namespace: object.metadata.namespace ?? (kind.namespaced ? 'default' : ''),
        ...(verb !== 'create' && { name: object.metadata.name ?? '' }),
        options: strict && verb !== 'get' ? { fieldValidation: 'Strict' } : {},
        ...(verb !== 'get' && { body: object }),
        user,
        durable: false,
      })
    },
    patch: (version, name, patchType, body) =>
      api.handle({
        verb: 'patch',
        group: 'serving.knative.dev',
        version,
        resource: 'services',
        namespace: 'default',
        name,
        patchType,
        options: { fieldValidation: 'Strict' },
        body,
        user,
        durable: false,
      }),
    [Symbol.asyncDispose]: () => platform[Symbol.asyncDispose](),
  }
  await self.send('create', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'knative-serving' },
  })
  for (const map of servingConfigMaps({ domain: 'localhost', domainPort: 8080 }))
    await self.send('create', map)
  return self
}

const book = (path: string, values: Record<string, string> = {}) => {
  const text = readFileSync(new URL(`../../../test/book/${path}`, import.meta.url), 'utf8')
  return parse(text.replace(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole))
}

const serviceOf = ({ body }: ApiResponse): Service => body as Service

async function refusal(request: Promise<ApiResponse>): Promise<StatusError> {
  try {
    await request
  } catch (error) {
    assert.ok(error instanceof StatusError, String(error))
    return error
  }
  return assert.fail('it was accepted')
}

const insecure =
  'Kubernetes default value is insecure, Knative may default this to secure in a future release: ' +
  ['allowPrivilegeEscalation', 'capabilities', 'runAsNonRoot', 'seccompProfile']
    .map((field) => `spec.template.spec.containers[0].securityContext.${field}`)
    .join(', ')
const old =
  'serving.knative.dev/v1alpha1 Service is deprecated; use serving.knative.dev/v1 Service with spec.template and spec.traffic'

/** Creates it, and answers its v1 form with the warnings of the creation. */
async function created(api: Cluster, object: ReturnType<typeof book>) {
  const { warnings = [] } = await api.send('create', object)
  const stored = await api.send('get', { ...object, apiVersion: 'serving.knative.dev/v1' })
  return { service: serviceOf(stored), warnings }
}

test('a Service of today is completed, stamped with its maker and warned about once', async () => {
  await using api = await cluster()
  const { service, warnings } = await created(
    api,
    book('02-serving-hello-world/helloworld-go.yaml'),
  )
  assert.deepEqual(service.spec, {
    template: {
      metadata: {
        labels: { app: 'helloworld-go' },
        annotations: { 'autoscaling.knative.dev/target': '10' },
      },
      spec: {
        containers: [
          {
            name: 'user-container',
            image: 'registry.cn-hangzhou.aliyuncs.com/knative-sample/helloworld-go:160e4dc8',
            ports: [{ name: 'http1', containerPort: 8080, protocol: 'TCP' }],
            env: [{ name: 'TARGET', value: 'World' }],
            resources: {},
            readinessProbe: { tcpSocket: { port: 0 }, successThreshold: 1 },
          },
        ],
        timeoutSeconds: 300,
        containerConcurrency: 0,
        enableServiceLinks: false,
      },
    },
    traffic: [{ latestRevision: true, percent: 100 }],
  })
  assert.deepEqual(service.metadata.annotations, {
    'serving.knative.dev/creator': 'kubernetes-admin',
    'serving.knative.dev/lastModifier': 'kubernetes-admin',
  })
  assert.deepEqual(warnings, [insecure])
})

test('the Services of the walk-throughs are accepted, each form as the same Revision', async () => {
  for (const [path, image, said] of [
    ['03-helloworld-go-curl/service.yaml', 'jingyuan/hello:v1', []],
    ['04-helloworld-nodejs/service.yaml', 'docker.io/bianlian/helloworld-nodejs', []],
    ['05-helloworld-runlatest/service-runlatest.yaml', 'docker.io/me/helloworld-go', [old]],
    ['05-helloworld-runlatest/service-runlatest-001.yaml', 'docker.io/me/helloworld-go', [old]],
    [
      '08-autoscale-concurrency/service.yaml',
      'registry.cn-hangzhou.aliyuncs.com/knative-sample/autoscale-go:0.1',
      [old],
    ],
    [
      '09-autoscale-bounds/service.yaml',
      'registry.cn-hangzhou.aliyuncs.com/knative-sample/autoscale-go:0.1',
      [old],
    ],
    [
      '10-autoscale-hpa/service-hpa.composed.yaml',
      'registry.cn-hangzhou.aliyuncs.com/knative-sample/autoscale-go:0.1',
      [old],
    ],
    [
      '12-custom-domain/login-service.yaml',
      'registry.cn-hangzhou.aliyuncs.com/knative-sample/helloworld-go:73fbdd56',
      [old],
    ],
  ] as const) {
    await using api = await cluster()
    const { service, warnings } = await created(api, book(path, { username: 'me' }))
    const [container] = service.spec.template.spec.containers
    assert.equal(container?.image, image, path)
    assert.equal(container?.name, 'user-container', path)
    assert.deepEqual(service.spec.traffic, [{ latestRevision: true, percent: 100 }], path)
    assert.deepEqual(warnings, [...said, insecure], path)
  }
})

test('runLatest of 2018 is the very same Service as the template of today', async () => {
  await using api = await cluster()
  const { service } = await created(
    api,
    book('05-helloworld-runlatest/service-runlatest.yaml', { username: 'me' }),
  )
  assert.equal(service.apiVersion, 'serving.knative.dev/v1')
  assert.deepEqual(service.spec.template.spec.containers, [
    {
      name: 'user-container',
      image: 'docker.io/me/helloworld-go',
      env: [{ name: 'TARGET', value: 'Go Sample v1' }],
      resources: {},
      readinessProbe: { tcpSocket: { port: 0 }, successThreshold: 1 },
    },
  ])
})

test('a placeholder left in the image name is refused in words', async () => {
  await using api = await cluster()
  const { message } = await refusal(
    api.send('create', book('05-helloworld-runlatest/service-runlatest.yaml')),
  )
  assert.equal(
    message,
    `admission webhook "validation.webhook.serving.knative.dev" denied the request: validation failed: Failed to parse image reference: spec.template.spec.containers[0].image
image: "docker.io/{username}/helloworld-go", error: could not parse reference: docker.io/{username}/helloworld-go; the image reference contains a placeholder {username}: put your own value there`,
  )
})

test('an old manifest can be applied again: the mode the client wrote wins over our answer', async () => {
  await using api = await cluster()
  const manifest = book('05-helloworld-runlatest/service-runlatest.yaml', { username: 'me' })
  await api.send('create', manifest)
  const { runLatest } = structuredClone(manifest.spec)
  runLatest.configuration.revisionTemplate.spec.container.env[0].value = 'again'
  const response = await api.patch('v1alpha1', 'helloworld-go', 'merge', { spec: { runLatest } })
  assert.equal(response.code, 200)
  const stored = serviceOf(
    await api.send('get', { ...manifest, apiVersion: 'serving.knative.dev/v1' }),
  )
  const [container] = stored.spec.template.spec.containers
  assert.deepEqual(container?.env, [{ name: 'TARGET', value: 'again' }])
  assert.equal(stored.metadata.generation, 2)
})

test('a probe number one level too deep is lifted, and both files give the same Revision', async () => {
  const specs: unknown[] = []
  for (const path of ['readiness-prober.yaml', 'readiness-prober.corrected.yaml']) {
    await using api = await cluster()
    const { service, warnings } = await created(api, book(`06-health-probes/${path}`))
    specs.push(service.spec)
    assert.equal(
      warnings.includes(
        'spec.template.spec.containers[0].readinessProbe.httpGet.initialDelaySeconds: unknown field, did you mean readinessProbe.initialDelaySeconds? Applied there.',
      ),
      path === 'readiness-prober.yaml',
    )
  }
  assert.deepEqual(specs[0], specs[1])
})

test('annotations beside the mark and numbers as their values are put right with warnings', async () => {
  await using api = await cluster()
  const manifest = book('08-autoscale-concurrency/service.yaml')
  manifest.spec.template.metadata = {
    ...book('07-autoscaler-config/scale-bounds.fragment.yaml').spec.template.metadata,
    ...book('07-autoscaler-config/annotations.fragment.yaml').metadata,
  }
  const { service, warnings } = await created(api, manifest)
  assert.deepEqual(service.spec.template.metadata, {
    annotations: {
      'autoscaling.knative.dev/minScale': '2',
      'autoscaling.knative.dev/maxScale': '10',
      'autoscaling.knative.dev/window': '60s',
      'autoscaling.knative.dev/target': '50',
    },
  })
  assert.deepEqual(warnings.slice(1, -1), [
    'spec.template.metadata["autoscaling.knative.dev/minScale"] is not a metadata field; read as an annotation',
    'spec.template.metadata["autoscaling.knative.dev/maxScale"] is not a metadata field; read as an annotation',
    'spec.template.metadata.annotations["autoscaling.knative.dev/target"]: 50 is not a string; read as "50"',
  ])
})

test('traffic split: a used revision name with another template is refused, with the same one accepted', async () => {
  const at = (name: string) => book(`11-traffic-split/${name}.yaml`)
  const apply = async (api: Cluster, name: string) =>
    api.patch('v1', 'traffic-example', 'merge', { spec: at(name).spec })

  await using printed = await cluster()
  await printed.send('create', at('revision-v1'))
  await apply(printed, 'revision-v2')
  await apply(printed, 'revision-v3')
  const { code, reason, message } = await refusal(apply(printed, 'revision-v3-2'))
  assert.deepEqual(
    { code, reason, message },
    {
      code: 400,
      reason: 'BadRequest',
      message: `admission webhook "validation.webhook.serving.knative.dev" denied the request: validation failed: Saw the following changes without a name change (-old +new): spec.template.metadata.name
{v1.RevisionTemplateSpec}.Spec.PodSpec.Containers[0].Env[0].Value:
\t-: "v2"
\t+: "v3"`,
    },
  )

  await using corrected = await cluster()
  for (const name of ['revision-v1'] as const) await corrected.send('create', at(name))
  for (const name of ['revision-v2', 'revision-v3.corrected', 'revision-v3-2', 'rollback.composed'])
    await apply(corrected, name)
  const { traffic = [] } = serviceOf(await corrected.send('get', at('revision-v1'))).spec
  assert.deepEqual(
    traffic.map(({ tag, percent }) => [tag, percent]),
    [
      ['v1', 100],
      ['v2', 0],
      ['v3', 0],
      ['latest', 0],
    ],
  )
})

test('config-autoscaler is read at once, tolerates old keys and refuses bad values in words', async () => {
  await using api = await cluster()
  const { data, metadata } = book('07-autoscaler-config/config-autoscaler.yaml')
  const name = { apiVersion: 'v1', kind: 'ConfigMap', metadata }
  const stored = (await api.send('get', name)).body as { data: Record<string, string> }
  await api.send('update', { ...stored, ...name, data })
  const bad = { ...data, 'stable-window': '5s' }
  const { message, code } = await refusal(api.send('update', { ...name, data: bad }))
  assert.equal(code, 400)
  assert.equal(
    message,
    'admission webhook "config.webhook.serving.knative.dev" denied the request: validation failed: stable-window = 5s, must be in [6s; 1h0m0s] range',
  )
})

test('an edited _example is refused while its checksum stands', async () => {
  await using api = await cluster()
  const [first] = servingConfigMaps({ domain: 'localhost' })
  assert.ok(first)
  const example = first.data?.['_example'] ?? ''
  assert.equal(
    exampleChecksum(example),
    first.metadata.annotations?.['knative.dev/example-checksum'],
  )
  const { message } = await refusal(
    api.send('update', { ...first, data: { _example: `${example}x: y\n` } }),
  )
  assert.match(message, /validation failed: the update modifies a key in "_example" which is/)
})

test('features and defaults of the cluster count at the moment of the request', async () => {
  await using api = await cluster()
  const manifest = book('03-helloworld-go-curl/service.yaml')
  manifest.spec.template.spec.nodeSelector = { disk: 'ssd' }
  const { message } = await refusal(api.send('create', manifest))
  assert.match(
    message,
    /validation failed: must not set the field\(s\): spec\.template\.spec\.nodeSelector$/,
  )
  for (const [name, data] of [
    [
      'config-features',
      { 'kubernetes.podspec-nodeselector': 'Allowed', 'secure-pod-defaults': 'enabled' },
    ],
    [
      'config-defaults',
      { 'revision-timeout-seconds': '120', 'container-name-template': '{{.Name}}-c' },
    ],
  ] as const) {
    const metadata = { name, namespace: 'knative-serving' }
    await api.send('update', { apiVersion: 'v1', kind: 'ConfigMap', metadata, data })
  }
  const { service, warnings } = await created(api, manifest)
  const { spec } = service.spec.template
  assert.equal(spec.timeoutSeconds, 120)
  assert.equal(spec.containers[0]?.name, 'helloworld-go-c')
  assert.deepEqual(spec.containers[0]?.securityContext, {
    allowPrivilegeEscalation: false,
    capabilities: { drop: ['ALL'] },
    runAsNonRoot: true,
    seccompProfile: { type: 'RuntimeDefault' },
  })
  assert.deepEqual(warnings, [])
})

test('who changes a Service is noted; who changes nothing is not, and the maker stays', async () => {
  await using api = await cluster()
  const { service } = await created(api, book('03-helloworld-go-curl/service.yaml'))
  const annotations = { ...service.metadata.annotations, 'serving.knative.dev/creator': 'eve' }
  const { message } = await refusal(
    api.send('update', { ...service, metadata: { ...service.metadata, annotations } }),
  )
  assert.match(
    message,
    /annotation value is immutable: metadata\.annotations\.serving\.knative\.dev\/creator$/,
  )
  const modified = {
    ...service.metadata.annotations,
    'serving.knative.dev/lastModifier': 'eve',
  }
  const second = await refusal(
    api.send('update', {
      ...service,
      metadata: { ...service.metadata, annotations: modified },
    }),
  )
  assert.match(
    second.message,
    /invalid value: eve: metadata\.annotations\.serving\.knative\.dev\/lastModifier$/,
  )
})

test('unknown fields that Knative never allows are named under strict validation, dropped without', async () => {
  await using api = await cluster()
  const manifest = book('03-helloworld-go-curl/service.yaml')
  manifest.spec.template.spec.containers[0].lifecycle = {}
  manifest.spec.template.spec.restartPolicy = 'Never'
  const { message } = await refusal(api.send('create', manifest))
  assert.match(message, /unknown field "spec\.template\.spec\.containers\[0\]\.lifecycle"/)
  assert.match(message, /unknown field "spec\.template\.spec\.restartPolicy"/)
  const { message: misspelled } = await refusal(
    api.send('create', book('24-sequence-cascade/event-display.yaml')),
  )
  assert.match(
    misspelled,
    /unknown field "spec\.template\.spec\.containerers", did you mean "containers"\?$/,
  )
  await api.send('create', manifest, false)
})
