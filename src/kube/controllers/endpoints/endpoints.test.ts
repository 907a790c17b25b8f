import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { seededRandom } from '../../../lib/random.ts'
import { inMemoryPlatform } from '../../../testing/platform.ts'
import { settle, SimClock } from '../../../testing/sim-clock.ts'
import { coreKinds } from '../../api/kinds.ts'
import { EndpointSlice } from '../../api/endpoint-slice.ts'
import { Endpoints } from '../../api/endpoints.ts'
import { keyOf, type KubeObject, type StringMap } from '../../api/meta.ts'
import { Pod } from '../../api/pod.ts'
import { Service } from '../../api/service.ts'
import { simulate, withoutHistory } from '../../controller/convergence.ts'
import type { Reader } from '../../controller/reconciler.ts'
import { backendGroups } from './backends.ts'
import { endpoints, startEndpoints } from './endpoints.ts'
import { SelectorIndex } from './selector-index.ts'

interface PodOptions {
  readonly ip?: string
  readonly ready?: boolean
  readonly labels?: StringMap
  readonly annotations?: StringMap
  readonly leaving?: boolean
  readonly phase?: string
  readonly port?: number
}

const aPod = (name: string, options: PodOptions = {}): Pod => {
  const {
    ip = `10.0.0.${name.length}`,
    ready = true,
    labels = { app: 'web' },
    port = 8080,
  } = options
  const { annotations, leaving, phase = 'Running' } = options
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: 'default',
      uid: `uid-${name}`,
      labels,
      ...(annotations && { annotations }),
      ...(leaving && { deletionTimestamp: '2026-01-01T00:00:00Z' }),
    },
    spec: {
      nodeName: 'n1',
      containers: [{ name: 'c', image: 'i', ports: [{ name: 'user-port', containerPort: port }] }],
    },
    status: {
      phase,
      podIP: ip,
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
    },
  }
}

const aService = (spec: Partial<Service['spec']> = {}, name = 'web'): Service => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace: 'default', uid: `uid-${name}`, labels: { team: 'blue' } },
  spec: {
    selector: { app: 'web' },
    ports: [{ name: 'http', port: 80, targetPort: 'user-port' }],
    ...spec,
  },
})

/** Groups as `ports: ready addresses (those that are not)`. */
const texts = (service: Service, pods: readonly Pod[]) =>
  backendGroups(service, pods).map(({ ports, backends }) => {
    const numbers = ports.map(({ port }) => port).join(',')
    const ready = backends.filter(({ ready }) => ready).map(({ ip }) => ip)
    const not = backends.filter(({ ready }) => !ready).map(({ ip }) => ip)
    return `${numbers}: ${ready.join(' ')} (${not.join(' ')})`
  })

test('a named target port is each pod’s own; pods with equal ports are one group', () => {
  const pods = [
    aPod('a', { ip: '10.0.0.2' }),
    aPod('b', { ip: '10.0.0.1', ready: false }),
    aPod('c', { ip: '10.0.0.3', port: 3000 }),
  ]
  assert.deepEqual(texts(aService(), pods), ['3000: 10.0.0.3 ()', '8080: 10.0.0.2 (10.0.0.1)'])
})

test('where pods share the machine’s network, ports are the machine’s', () => {
  const annotations = { 'ebb.dev/host-ports': '{"8080":41234}' }
  assert.deepEqual(texts(aService(), [aPod('a', { ip: '127.0.0.1', annotations })]), [
    '41234: 127.0.0.1 ()',
  ])
  for (const bad of ['nonsense', '7', '{"8080":"x"}', 'null']) {
    const spoilt = aPod('a', { ip: '1.1.1.1', annotations: { 'ebb.dev/host-ports': bad } })
    assert.deepEqual(texts(aService(), [spoilt]), ['8080: 1.1.1.1 ()'])
  }
})

test('pods without address, ended ones, and those without the port are left out', () => {
  const nowhere = aPod('a')
  const pods: readonly Pod[] = [
    { ...nowhere, status: { phase: 'Pending' } },
    aPod('b', { phase: 'Failed' }),
    aPod('c', { phase: 'Succeeded' }),
  ]
  assert.deepEqual(texts(aService(), pods), [])
  const other = aService({ ports: [{ port: 80, targetPort: 'no-such-port' }] })
  assert.deepEqual(texts(other, [aPod('a')]), [])
})

test('publishNotReadyAddresses makes everyone ready', () => {
  const service = aService({ publishNotReadyAddresses: true })
  assert.deepEqual(texts(service, [aPod('a', { ready: false, ip: '1.1.1.1' })]), [
    '8080: 1.1.1.1 ()',
  ])
})

const scan = (pod: KubeObject, read: Reader) =>
  read
    .list(Service, pod.metadata.namespace ?? '')
    .filter(({ spec }) =>
      Object.entries(spec.selector ?? {}).every(([k, v]) => pod.metadata.labels?.[k] === v),
    )
    .map(keyOf)

function simulated(...objects: readonly (Pod | Service)[]) {
  const simulation = simulate([endpoints(scan)])
  for (const object of objects) {
    if (object.kind === 'Pod') simulation.put(Pod, object as Pod)
    else simulation.put(Service, object as Service)
  }
  simulation.settle({ nowMs: 0 })
  const one = () => simulation.reader.get(Endpoints, { namespace: 'default', name: 'web' })
  return { simulation, one, slices: () => simulation.reader.list(EndpointSlice, '') }
}

test('a pod that leaves is out of the Endpoints at once, and said to be leaving in the slice', () => {
  const { simulation, one, slices } = simulated(aService(), aPod('a', { ip: '1.1.1.1' }))
  assert.deepEqual(one()?.subsets, [
    {
      addresses: [
        {
          ip: '1.1.1.1',
          nodeName: 'n1',
          targetRef: { kind: 'Pod', namespace: 'default', name: 'a', uid: 'uid-a' },
        },
      ],
      ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
    },
  ])
  assert.deepEqual(one()?.metadata.labels, { team: 'blue' })
  simulation.put(Pod, aPod('a', { ip: '1.1.1.1', leaving: true }))
  simulation.settle({ nowMs: 0 })
  assert.equal(one()?.subsets, undefined)
  assert.deepEqual(slices()[0]?.endpoints[0]?.conditions, {
    ready: false,
    serving: true,
    terminating: true,
  })
  simulation.delete(Pod, { namespace: 'default', name: 'a' })
  simulation.settle({ nowMs: 0 })
  assert.equal(slices().length, 0)
})

test('slices hold a hundred endpoints, belong to the Service and are named after it', () => {
  const pods = Array.from({ length: 250 }, (_, i) =>
    aPod(`p${i}`, { ip: `10.1.${i >> 7}.${i & 127}` }),
  )
  const { slices } = simulated(aService(), ...pods)
  assert.deepEqual(
    slices()
      .map(({ endpoints }) => endpoints.length)
      .toSorted((a, b) => a - b),
    [50, 100, 100],
  )
  for (const { metadata } of slices()) {
    assert.match(metadata.name, /^web-[a-z0-9]{5}$/)
    assert.equal(metadata.labels?.['kubernetes.io/service-name'], 'web')
    assert.equal(
      metadata.labels?.['endpointslice.kubernetes.io/managed-by'],
      'endpointslice-controller.k8s.io',
    )
    assert.equal(metadata.ownerReferences?.[0]?.name, 'web')
  }
})

test('without a selector, Endpoints are the user’s and slices mirror them', () => {
  const { simulation, one, slices } = simulated(aService({ selector: {} }))
  assert.equal(one(), undefined)
  const written: Endpoints = {
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: { name: 'web', namespace: 'default' },
    subsets: [{ addresses: [{ ip: '9.9.9.9' }], ports: [{ port: 8012, protocol: 'TCP' }] }],
  }
  simulation.put(Endpoints, written)
  simulation.settle({ nowMs: 0 })
  const [slice] = slices()
  assert.deepEqual(slice?.endpoints, [{ addresses: ['9.9.9.9'], conditions: { ready: true } }])
  assert.equal(slice?.metadata.ownerReferences?.[0]?.kind, 'Endpoints')
  simulation.delete(Service, { namespace: 'default', name: 'web' })
  simulation.settle({ nowMs: 0 })
  assert.ok(one(), 'what the user wrote stays')
})

test('the Endpoints go with their Service', () => {
  const { simulation, one } = simulated(aService(), aPod('a'))
  assert.ok(one())
  simulation.delete(Service, { namespace: 'default', name: 'web' })
  simulation.settle({ nowMs: 0 })
  assert.equal(one(), undefined)
})

test('nothing is written when only the time has changed', () => {
  const { simulation } = simulated(aService(), aPod('a'))
  const before = simulation.objects()
  simulation.settle({ nowMs: 1_000_000 })
  assert.deepEqual(simulation.objects(), before)
})

test('property: any order of wake-ups ends in the same objects', () => {
  const pods = [aPod('a'), aPod('bb', { ready: false }), aPod('ccc', { leaving: true, port: 1 })]
  const services = [
    aService(),
    aService({ clusterIP: 'None' }, 'head'),
    aService({ selector: {} }, 'x'),
  ]
  const end = (seed: number, order: readonly (Pod | Service)[]) => {
    const simulation = simulate([endpoints(scan)])
    for (const object of order) {
      if (object.kind === 'Pod') simulation.put(Pod, object as Pod)
      else simulation.put(Service, object as Service)
      if (seed % 2) simulation.settle({ nowMs: 0, random: seededRandom(seed) })
    }
    simulation.settle({ nowMs: 0, random: seededRandom(seed) })
    return withoutHistory(simulation.objects())
  }
  const all = [...pods, ...services]
  const expected = end(0, all)
  fc.assert(
    fc.property(fc.integer(), fc.shuffledSubarray(all, { minLength: all.length }), (seed, order) =>
      assert.deepEqual(end(seed, order), expected),
    ),
    { numRuns: 50 },
  )
})

test('property: the selector index finds what asking every Service would', () => {
  const labels = fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.constantFrom('1', '2'), {
    noNullPrototype: true,
  })
  const step = fc.record({
    name: fc.constantFrom('s', 't', 'u'),
    selector: labels,
    remove: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(step), labels, (steps, podLabels) => {
      const index = new SelectorIndex()
      const model = new Map<string, StringMap>()
      for (const { name, selector, remove } of steps) {
        if (remove) index.remove({ namespace: 'default', name })
        else index.put(aService({ selector }, name))
        if (remove || Object.keys(selector).length === 0) model.delete(name)
        else model.set(name, selector)
      }
      const expected = [...model]
        .filter(([, selector]) => Object.entries(selector).every(([k, v]) => podLabels[k] === v))
        .map(([name]) => name)
      const found = [...index.selecting(aPod('p', { labels: podLabels }))].map(({ name }) => name)
      assert.deepEqual(found.toSorted(), expected.toSorted())
    }),
  )
})

test('over the API: a pod that becomes ready shows in the Endpoints of its Service', async () => {
  await using platform = inMemoryPlatform({ kinds: coreKinds, clock: new SimClock() })
  const { client } = platform
  await using _endpoints = startEndpoints(platform)
  await settle()
  await client.create(Service, { ...aService(), metadata: { name: 'web', namespace: 'default' } })
  const made = await client.create(Pod, aPod('a'))
  await client.updateStatus<Pod>(Pod, { ...made, ...statusOf(aPod('a')) })
  await settle()
  const found = await client.get(Endpoints, { namespace: 'default', name: 'web' })
  assert.equal(found.subsets?.[0]?.addresses?.[0]?.targetRef?.uid, made.metadata.uid)
  await client.delete(Service, { namespace: 'default', name: 'web' })
  await settle()
  const { items } = await client.list(Endpoints, 'default')
  assert.deepEqual(
    items.filter(({ metadata }) => metadata.name === 'web'),
    [],
  )
})

const statusOf = ({ status }: Pod) => (status ? { status } : {})
