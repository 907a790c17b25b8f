import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Endpoints } from '../../../kube/api/endpoints.ts'
import type { Service as CoreService } from '../../../kube/api/service.ts'
import { aPodAutoscaler } from '../../../testing/serving.ts'
import type { ServerlessServiceStatus } from '../../api/serverless-service.ts'
import { desiredServerlessService } from '../pod-autoscaler/serverless-service.ts'
import { serverlessServiceReconciler, type World } from './serverless-service.ts'

const gateway = { host: '127.0.0.1', port: 8080 }
const nowMs = Date.UTC(2026, 0, 1)

const sks = (mode: 'Serve' | 'Proxy', protocolType: 'http1' | 'h2c' = 'http1') => {
  const wanted = desiredServerlessService(
    aPodAutoscaler('hello-00001', {}, { protocolType }),
    mode,
    2,
  )
  return { ...wanted, metadata: { ...wanted.metadata, uid: 'us', generation: 1 } }
}

const points = (ips: readonly string[], name = 'http'): Endpoints =>
  ({
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: { name: 'hello-00001-private', namespace: 'default' },
    subsets: [
      { addresses: ips.map((ip) => ({ ip })), ports: [{ name, port: 4000, protocol: 'TCP' }] },
    ],
  }) as Endpoints

function plan(world: Partial<World> & Pick<World, 'sks'>) {
  const result = serverlessServiceReconciler(gateway).plan(
    {
      privateService: undefined,
      publicService: undefined,
      privateEndpoints: undefined,
      publicEndpoints: undefined,
      gateway,
      ...world,
    },
    nowMs,
  )
  const status = result.status as ServerlessServiceStatus
  const endpoints = result.apply?.find(({ kind }) => kind.kind === 'Endpoints')?.desired as
    | Endpoints
    | undefined
  return {
    ...result,
    told: (status.conditions ?? []).map(({ type, status: value, reason, severity }) =>
      [type, value, reason, severity].filter(Boolean).join(' '),
    ),
    status,
    addresses: endpoints?.subsets?.flatMap(({ addresses, ports }) =>
      (addresses ?? []).map(({ ip }) => `${ip}:${ports?.map(({ port }) => port).join()}`),
    ),
  }
}

test('without pods the gateway stands in, whatever the mode', () => {
  for (const mode of ['Serve', 'Proxy'] as const) {
    const { told, addresses, status } = plan({ sks: sks(mode) })
    assert.deepEqual(told, [
      'ActivatorEndpointsPopulated True ActivatorEndpointsPopulated Info',
      'EndpointsPopulated Unknown NoHealthyBackends',
      'Ready Unknown NoHealthyBackends',
    ])
    assert.deepEqual(addresses, ['127.0.0.1:8080'])
    assert.equal(status.privateServiceName, 'hello-00001-private')
    assert.equal(status.serviceName, 'hello-00001')
  }
})

test('with pods it is ready; in Serve the pods take the requests themselves', () => {
  const privateEndpoints = points(['10.0.0.1', '10.0.0.2'])
  const serve = plan({ sks: sks('Serve'), privateEndpoints })
  assert.deepEqual(serve.addresses, ['10.0.0.1:4000', '10.0.0.2:4000'])
  assert.deepEqual(serve.told, [
    'ActivatorEndpointsPopulated False ActivatorEndpointsPopulated Info',
    'EndpointsPopulated True',
    'Ready True',
  ])
  const proxy = plan({ sks: sks('Proxy'), privateEndpoints })
  assert.deepEqual(proxy.addresses, ['127.0.0.1:8080'])
  assert.equal(proxy.told[2], 'Ready True')
})

test('the private Service selects the pods, the public one has no selector', () => {
  const [inner, outer] = (plan({ sks: sks('Proxy', 'h2c') }).apply ?? []).map(
    ({ desired }) => desired as CoreService,
  )
  assert.equal(inner?.metadata.name, 'hello-00001-private')
  assert.deepEqual(inner?.spec.selector, {
    'serving.knative.dev/revisionUID': 'uid-rev-hello-00001',
  })
  assert.equal(inner?.spec.ports?.[0]?.targetPort, 'user-port')
  assert.equal(inner?.metadata.labels?.['networking.internal.knative.dev/serviceType'], 'Private')
  assert.equal(outer?.spec.selector, undefined)
  assert.deepEqual(
    outer?.spec.ports?.map(({ name, port }) => [name, port]),
    [['http2', 81]],
  )
})

test('what is somebody else’s is left alone', () => {
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'hello-00001', namespace: 'default', uid: 'x' },
    spec: {},
  } as CoreService
  const { apply, told, error, status } = plan({ sks: sks('Serve'), publicService: service })
  assert.equal(apply, undefined)
  assert.equal(told.at(-1), 'Ready False NotOwned')
  assert.equal(
    status.conditions?.at(-1)?.message,
    'Resource hello-00001 of type Service is not owned by SKS',
  )
  assert.ok(error)
})
