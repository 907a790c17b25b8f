import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inMemoryPlatform } from '../../testing/platform.ts'
import { settle, SimClock } from '../../testing/sim-clock.ts'
import { ConfigMap } from '../api/config-map.ts'
import { coreKinds } from '../api/kinds.ts'
import { ServiceAccount } from '../api/service-account.ts'
import { startController } from '../controller/loop.ts'
import { accountFiles } from './account-files.ts'

test('default account and root certificate come back', async () => {
  const clock = new SimClock()
  await using platform = inMemoryPlatform({ kinds: coreKinds, clock })
  const { client } = platform
  await using _controller = startController(accountFiles('PEM'), platform)
  const certificate = { namespace: 'default', name: 'kube-root-ca.crt' }
  const account = { namespace: 'default', name: 'default' }
  const seen = async () => {
    await settle()
    await clock.advance(1_000)
    const { data } = await client.get(ConfigMap, certificate)
    return [data?.['ca.crt'], (await client.get(ServiceAccount, account)).metadata.name]
  }
  assert.deepEqual(await seen(), ['PEM', 'default'])
  await client.delete(ServiceAccount, account)
  await client.delete(ConfigMap, certificate)
  assert.deepEqual(await seen(), ['PEM', 'default'])
  await client.patch(ConfigMap, certificate, { type: 'merge', body: { data: { 'ca.crt': 'x' } } })
  assert.deepEqual(await seen(), ['PEM', 'default'])
})
