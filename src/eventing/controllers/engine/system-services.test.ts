import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigMap } from '../../../kube/api/config-map.ts'
import { Endpoints } from '../../../kube/api/endpoints.ts'
import { Service } from '../../../kube/api/service.ts'
import { start, willing } from '../world.fixture.ts'

const key = (name: string) => ({ namespace: 'knative-eventing', name })

test('the Services of the system lead to the engine, and follow it to another address and to TLS', async () => {
  const listeners = new Set<() => void>()
  let secure: { host: string; port: number } | undefined
  let address: { host: string; port: number } | undefined
  await using world = await start({
    ...willing,
    get address() {
      return address
    },
    get secure() {
      return secure
    },
    onServed(listener) {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
  })
  const move = async () => {
    for (const listener of listeners) listener()
    await world.settle()
  }
  const subsets = async (name: string) => (await world.client.get(Endpoints, key(name))).subsets
  await world.settle()
  assert.deepEqual((await subsets('broker-ingress')) ?? [], [])
  address = { host: '127.0.0.1', port: 4711 }
  await move()
  const at = (port: number, name: string) => ({
    addresses: [{ ip: '127.0.0.1' }],
    ports: [{ name, port, protocol: 'TCP' }],
  })
  for (const name of ['broker-ingress', 'broker-filter', 'request-reply'])
    assert.deepEqual(await subsets(name), [at(4711, 'http')])
  assert.deepEqual(await subsets('imc-dispatcher'), [at(4711, 'http-dispatcher')])
  assert.deepEqual((await subsets('job-sink')) ?? [], [])
  secure = { host: '127.0.0.1', port: 4712 }
  await move()
  assert.deepEqual(await subsets('broker-ingress'), [at(4711, 'http'), at(4712, 'https')])

  const features = (transport: string) =>
    world.client.patch(ConfigMap, key('config-features'), {
      type: 'merge',
      body: { data: { 'transport-encryption': transport } },
    })
  await features('strict')
  await world.settle()
  assert.deepEqual(await subsets('broker-ingress'), [at(4712, 'https')])
  await features('disabled')
  await world.settle()

  // Who takes them away gets them back; a Service with pods of its own is left alone.
  await world.client.delete(Endpoints, key('broker-ingress'))
  await world.settle()
  assert.deepEqual(await subsets('broker-ingress'), [at(4711, 'http'), at(4712, 'https')])
  await world.client.patch(Service, key('broker-filter'), {
    type: 'merge',
    body: { spec: { selector: { app: 'mine' } } },
  })
  address = { host: '127.0.0.1', port: 4713 }
  await move()
  assert.deepEqual(await subsets('broker-filter'), [at(4711, 'http'), at(4712, 'https')])
  assert.deepEqual(await subsets('request-reply'), [at(4713, 'http'), at(4712, 'https')])
})
