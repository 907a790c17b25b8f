import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EndpointSlice } from '../api/endpoint-slice.ts'
import { Endpoints } from '../api/endpoints.ts'
import { coreKinds } from '../api/kinds.ts'
import { Service } from '../api/service.ts'
import { inMemoryPlatform } from '../../testing/platform.ts'
import { settle, SimClock } from '../../testing/sim-clock.ts'
import { startKubeControllers } from './controllers.ts'

const key = { namespace: 'default', name: 'kubernetes' }

test('the API server is a Service with its address behind it, whatever happens to the parts', async () => {
  const clock = new SimClock()
  await using platform = inMemoryPlatform({ kinds: coreKinds, clock })
  const { client } = platform
  const apiAddress = { ip: '192.0.2.7', port: 6443 }
  await using _controllers = startKubeControllers({ ...platform, kinds: coreKinds, apiAddress })
  const shown = async () => {
    await settle()
    const { spec } = await client.get(Service, key)
    const { subsets } = await client.get(Endpoints, key)
    const slices = (await client.list(EndpointSlice, 'default')).items
    return [
      spec.clusterIP,
      spec.ports?.map(({ name, port, targetPort }) => `${name} ${port} ${targetPort}`),
      subsets?.map(({ addresses, ports }) => `${addresses?.[0]?.ip}:${ports?.[0]?.port}`),
      slices.map(({ metadata, endpoints }) => `${metadata.name} ${endpoints[0]?.addresses[0]}`),
    ]
  }
  const wanted = ['10.96.0.1', ['https 443 6443'], ['192.0.2.7:6443'], ['kubernetes 192.0.2.7']]
  assert.deepEqual(await shown(), wanted)
  await client.patch(Endpoints, key, { type: 'merge', body: { subsets: null } })
  await client.delete(Service, key)
  assert.deepEqual(await shown(), wanted)
})
