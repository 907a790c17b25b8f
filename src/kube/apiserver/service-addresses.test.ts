import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AdmissionContext } from '../api/kind.ts'
import type { KubeObject } from '../api/meta.ts'
import { memoryStore } from '../store/memory-store.ts'
import { serviceAddresses } from './service-addresses.ts'
import { fieldsOf, open } from './values.ts'
import type { Fields } from './values.ts'

const context = (old?: KubeObject): AdmissionContext => ({
  operation: old ? 'UPDATE' : 'CREATE',
  ...(old && { old }),
  subresource: '',
  user: { username: 'admin', groups: [] },
  dryRun: false,
  nowMs: 0,
  read: () => undefined,
  list: () => [],
  allows: () => true,
  warn: () => {},
})

function world(store = memoryStore()) {
  const addresses = serviceAddresses(store)
  const service = (name: string, spec: Fields): KubeObject =>
    Object.assign(
      { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace: 'default' } },
      { spec: { type: 'ClusterIP', ...spec } },
    )
  const put = (name: string, spec: Fields = {}): Fields => {
    const key = `services/default/${name}`
    const old = store.get(key)
    const admitted = addresses.admit(service(name, spec), context(old))
    return fieldsOf(open(store.put(key, admitted).object)['spec'])
  }
  return { store, put }
}
const nodePort = (spec: Fields): unknown =>
  fieldsOf(Array.isArray(spec['ports']) ? spec['ports'][0] : undefined)['nodePort']

test('each Service gets an address of its own and keeps it', () => {
  const { put } = world()
  assert.deepEqual(put('a')['clusterIPs'], ['10.96.1.0'])
  assert.equal(put('b')['clusterIP'], '10.96.1.1')
  assert.equal(put('a', { sessionAffinity: 'ClientIP' })['clusterIP'], '10.96.1.0')
  assert.throws(
    () => put('a', { clusterIP: '10.96.7.7' }),
    /spec.clusterIPs\[0\]: Invalid value: \[\]string\{"10.96.7.7"\}: may not change once set/,
  )
})

test('an explicit address is respected, refused when taken or outside; None is none', () => {
  const { put } = world()
  assert.equal(put('a', { clusterIP: '10.96.0.1' })['clusterIP'], '10.96.0.1')
  assert.throws(
    () => put('b', { clusterIP: '10.96.0.1' }),
    /spec.clusterIPs: Invalid value: .*failed to allocate IP 10.96.0.1: provided IP is already allocated/,
  )
  assert.throws(() => put('b', { clusterIP: '10.9.0.1' }), /not in the valid range/)
  assert.deepEqual(put('h', { clusterIP: 'None' })['clusterIPs'], ['None'])
  assert.equal(put('x', { type: 'ExternalName', externalName: 'e' })['clusterIP'], undefined)
})

test('addresses are freed with their Service and known again after a restart', () => {
  const { store, put } = world()
  put('a', { clusterIP: '10.96.0.9' })
  put('b')
  const again = world(store)
  assert.throws(() => again.put('c', { clusterIP: '10.96.0.9' }), /already allocated/)
  assert.equal(again.put('d')['clusterIP'], '10.96.1.1')
  store.delete('services/default/a')
  assert.equal(again.put('c', { clusterIP: '10.96.0.9' })['clusterIP'], '10.96.0.9')
})

test('an address promised to a Service that was never stored is free', () => {
  const store = memoryStore()
  const addresses = serviceAddresses(store)
  const lost: KubeObject = Object.assign(
    { apiVersion: 'v1', kind: 'Service', metadata: { name: 'lost', namespace: 'default' } },
    { spec: {} },
  )
  const given = fieldsOf(open(addresses.admit(lost, context()))['spec'])['clusterIP']
  assert.equal(given, '10.96.1.0')
  const { put } = world(store)
  assert.equal(put('a', { clusterIP: '10.96.1.0' })['clusterIP'], '10.96.1.0')
})

test('node ports are given, kept, refused when taken, and returned', () => {
  const { put } = world()
  const ports = [{ port: 80, protocol: 'TCP' }]
  assert.equal(nodePort(put('a', { type: 'NodePort', ports })), 30_000)
  assert.equal(nodePort(put('a', { type: 'NodePort', ports })), 30_000)
  assert.throws(
    () => put('b', { type: 'NodePort', ports: [{ port: 80, nodePort: 30_000 }] }),
    /spec.ports\[0\].nodePort: Invalid value: 30000: provided port is already allocated/,
  )
  assert.throws(
    () => put('b', { type: 'NodePort', ports: [{ port: 80, nodePort: 80 }] }),
    /The range of valid ports is 30000-32767/,
  )
  assert.equal(
    nodePort(put('a', { type: 'ClusterIP', ports: [{ port: 80, nodePort: 30_000 }] })),
    undefined,
  )
  assert.equal(
    nodePort(put('b', { type: 'NodePort', ports: [{ port: 80, nodePort: 30_000 }] })),
    30_000,
  )
})
