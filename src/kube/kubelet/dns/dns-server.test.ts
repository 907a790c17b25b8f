import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { Resolver } from 'node:dns/promises'
import { connect } from 'node:net'
import { test, type TestContext } from 'node:test'
import { systemClock } from '../../../lib/clock.ts'
import { silent } from '../../../lib/log.ts'
import { inMemoryPlatform } from '../../../testing/platform.ts'
import { EndpointSlice } from '../../api/endpoint-slice.ts'
import { coreKinds } from '../../api/kinds.ts'
import { Namespace } from '../../api/namespace.ts'
import { Service } from '../../api/service.ts'
import { findName, type Found } from './cluster-names.ts'
import { startDnsServer } from './dns-server.ts'
import { parseQuestion, response } from './message.ts'

const names: Readonly<Record<string, Found>> = {
  'a.ns.svc.cluster.local': ['10.0.0.1', '10.0.0.2'],
  'empty.ns.svc.cluster.local': [],
}
const find = (name: string): Found =>
  names[name] ?? (name.endsWith('.cluster.local') ? 'missing' : 'elsewhere')

async function open(t: TestContext, upstream: readonly string[] = []) {
  const server = await startDnsServer({
    address: '127.0.0.1',
    port: 0,
    find,
    upstream: () => upstream,
    clock: systemClock,
    log: silent,
  })
  t.after(() => server[Symbol.asyncDispose]())
  const resolver = new Resolver({ timeout: 5_000, tries: 1 })
  resolver.setServers([`127.0.0.1:${server.port}`])
  return { server, resolver }
}

test('names of the cluster have addresses, or are said not to be there', async (t) => {
  const { resolver } = await open(t)
  assert.deepEqual(await resolver.resolve4('A.ns.svc.cluster.local'), ['10.0.0.1', '10.0.0.2'])
  await assert.rejects(resolver.resolve6('a.ns.svc.cluster.local'), { code: 'ENODATA' })
  await assert.rejects(resolver.resolve4('empty.ns.svc.cluster.local'), { code: 'ENODATA' })
  await assert.rejects(resolver.resolve4('b.ns.svc.cluster.local'), { code: 'ENOTFOUND' })
  await assert.rejects(resolver.resolve4('example.org'), { code: 'ESERVFAIL' })
})

test('other names are asked elsewhere, by the next server if one is silent', async (t) => {
  const other = createSocket('udp4').bind(0, '127.0.0.1')
  await once(other, 'listening')
  t.after(() => other.close())
  other.on('message', (message, { port, address }) => {
    const question = parseQuestion(message)
    assert.ok(question)
    const answer = { code: 0, addresses: ['192.0.2.9'], ttlSeconds: 1 }
    other.send(response(question, answer), port, address)
  })
  // Nobody listens on the first.
  const { resolver } = await open(t, ['127.0.0.1:1', `127.0.0.1:${other.address().port}`])
  assert.deepEqual(await resolver.resolve4('example.org'), ['192.0.2.9'])
})

test('TCP takes several questions, in pieces too; rubbish ends nothing', async (t) => {
  const { server } = await open(t)
  const rubbish = createSocket('udp4')
  for (const bytes of [[], [1], Array(12).fill(0xff), [...Array(11).fill(0), 1, 0xc0, 12]])
    rubbish.send(Buffer.from(bytes), server.port, '127.0.0.1')
  const name = Buffer.concat(
    'a.ns.svc.cluster.local'
      .split('.')
      .map((label) => Buffer.from([label.length, ...Buffer.from(label)])),
  )
  const question = (id: number) => {
    const message = Buffer.concat([
      Buffer.from([0, id, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
      name,
      Buffer.from([0, 0, 1, 0, 1]),
    ])
    return Buffer.concat([Buffer.from([0, message.length]), message])
  }
  const socket = connect(server.port, '127.0.0.1')
  const all = Buffer.concat([question(7), question(8)])
  socket.write(all.subarray(0, 20))
  socket.write(all.subarray(20))
  let got = Buffer.alloc(0)
  for await (const chunk of socket) {
    got = Buffer.concat([got, chunk as Buffer])
    if (got.length >= 2 && got.length >= 2 * (2 + got.readUInt16BE(0))) break
  }
  assert.equal(got[3], 7)
  assert.equal(got[2 + got.readUInt16BE(0) + 3], 8)
  rubbish.close()
})

test('services lead to their ready pods, the gateway and the API server to this machine', async () => {
  await using platform = inMemoryPlatform({ kinds: coreKinds, clock: systemClock })
  const { client, informers } = platform
  const service = (name: string, spec: object, labels = {}) =>
    client.create(Service, {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name, namespace: 'default', labels },
      spec: spec as Service['spec'],
    })
  await service('web', { ports: [{ port: 80 }] })
  await service('alias', { type: 'ExternalName', externalName: 'web.default.svc.cluster.local' })
  await service('loop', { type: 'ExternalName', externalName: 'loop.default.svc.cluster.local' })
  await service('out', { type: 'ExternalName', externalName: 'example.org' })
  await service('hello', { type: 'ExternalName', externalName: 'x' }, { route: 'hello' })
  await client.create(EndpointSlice, {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: 'web-1',
      namespace: 'default',
      labels: { 'kubernetes.io/service-name': 'web' },
    },
    addressType: 'IPv4',
    endpoints: [
      { addresses: ['10.0.0.1'], conditions: { ready: true }, hostname: 'web-0' },
      { addresses: ['10.0.0.2'], conditions: { ready: false } },
    ],
    ports: [],
  })
  await service('mapped', { ports: [{ port: 80, targetPort: 8080 }] })
  await client.create(EndpointSlice, {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: 'mapped-1',
      namespace: 'default',
      labels: { 'kubernetes.io/service-name': 'mapped' },
    },
    addressType: 'IPv4',
    endpoints: [{ addresses: ['10.0.0.7'], conditions: { ready: true } }],
    ports: [],
  })
  await informers.synced([Service, EndpointSlice, Namespace])
  const look = (name: string) =>
    findName(`${name}.cluster.local`, {
      read: informers.reader(),
      hostIP: '10.88.0.1',
      isGateway: ({ metadata }) => metadata.labels?.['route'] !== undefined,
      isBehindGateway: ({ metadata }) => metadata.name === 'mapped',
    })
  assert.deepEqual(look('web.default.svc'), ['10.0.0.1'])
  assert.deepEqual(look('web-0.web.default.svc'), ['10.0.0.1'])
  assert.equal(look('web-1.web.default.svc'), 'missing')
  assert.deepEqual(look('mapped.default.svc'), ['10.88.0.1', '10.0.0.7'])
  assert.deepEqual(look('alias.default.svc'), ['10.0.0.1'])
  assert.equal(look('loop.default.svc'), 'missing')
  assert.equal(look('out.default.svc'), 'elsewhere')
  assert.deepEqual(look('hello.default.svc'), ['10.88.0.1'])
  assert.deepEqual(look('kubernetes.default.svc'), ['10.88.0.1'])
  assert.deepEqual(look('10-1-2-3.default.pod'), ['10.1.2.3'])
  assert.equal(look('nobody.default.svc'), 'missing')
  assert.equal(look('web.nowhere.svc'), 'missing')
})
