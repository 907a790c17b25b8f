/** Where a program finds its server: named files, the pod's account, the usual file. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { silent } from '../../../lib/log.ts'
import { SimClock } from '../../../testing/sim-clock.ts'
import { connect } from './connection.ts'
import { inClusterConfig } from './in-cluster.ts'

async function temporary() {
  const folder = await mkdtemp(join(tmpdir(), 'ebb-connection-'))
  return {
    folder,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}

const kubeconfig = (server: string) => `apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: c, namespace: mine}}, {name: there, context: {cluster: d}}]
clusters: [{name: c, cluster: {server: "${server}"}}, {name: d, cluster: {server: "https://there:1"}}]
`

test('KUBECONFIG before the usual file; contexts; and what to do when there is none', async () => {
  await using temp = await temporary()
  const { folder } = temp
  const server = async (options: Parameters<typeof connect>[0]) => {
    await using connection = await connect({ log: silent, ...options })
    return `${connection.server} ${connection.namespace}`
  }
  await mkdir(join(folder, '.kube'))
  await writeFile(join(folder, '.kube', 'config'), kubeconfig('https://usual:1'))
  await writeFile(join(folder, 'named'), kubeconfig('https://named:1'))
  const named = join(folder, 'named')
  const absent = join(folder, 'absent')
  assert.equal(await server({ env: { HOME: folder } }), 'https://usual:1 mine')
  assert.equal(await server({ env: { HOME: folder, KUBECONFIG: named } }), 'https://named:1 mine')
  assert.equal(await server({ env: { KUBECONFIG: `${absent}:${named}` } }), 'https://named:1 mine')
  assert.equal(await server({ kubeconfig: named, context: 'there' }), 'https://there:1 default')
  await assert.rejects(server({ env: { HOME: folder, KUBECONFIG: absent } }), /names .*absent/)
  await assert.rejects(server({}), /set KUBECONFIG/)
})

test('in a pod: the account’s token, read again once a minute', async () => {
  await using temp = await temporary()
  const { folder } = temp
  const clock = new SimClock()
  const env = { KUBERNETES_SERVICE_HOST: '10.0.0.1', KUBERNETES_SERVICE_PORT: '443' }
  assert.equal(inClusterConfig(env, clock, folder), undefined)
  await writeFile(join(folder, 'token'), 'one\n')
  await writeFile(join(folder, 'ca.crt'), 'PEM')
  await writeFile(join(folder, 'namespace'), 'mine')
  assert.equal(inClusterConfig({}, clock, folder), undefined)
  const config = inClusterConfig(env, clock, folder)
  assert.ok(config)
  const { api, namespace } = config
  assert.deepEqual([api.server, api.ca, namespace], ['https://10.0.0.1:443', 'PEM', 'mine'])
  const token = () => (typeof api.token === 'function' ? api.token() : api.token)
  assert.equal(token(), 'one')
  await writeFile(join(folder, 'token'), 'two')
  assert.equal(token(), 'one')
  await clock.advance(60_000)
  assert.equal(token(), 'two')
  const six = inClusterConfig({ ...env, KUBERNETES_SERVICE_HOST: 'fd00::1' }, clock, folder)
  assert.equal(six?.api.server, 'https://[fd00::1]:443')
  await rm(join(folder, 'token'))
  await clock.advance(60_000)
  assert.equal(token(), 'two')
})
