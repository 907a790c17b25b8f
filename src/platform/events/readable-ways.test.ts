import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import type { KubeObject } from '../../kube/api/meta.ts'
import type { Client } from '../../kube/client/client.ts'
import { readableWays } from './readable-ways.ts'

test('of a trace only what came to Brokers and channels that the user may read is shown', async () => {
  const asked: string[] = []
  const client: Pick<Client, 'create'> = {
    async create<T extends KubeObject>(_kind: unknown, object: T): Promise<T> {
      const { spec } = object as unknown as {
        readonly spec: { user: string; resourceAttributes: Readonly<Record<string, string>> }
      }
      const { verb, resource, subresource, namespace, name } = spec.resourceAttributes
      const key = `${verb} ${resource}/${subresource} ${namespace}/${name}`
      asked.push(key)
      const allowed = ['get brokers/trace ns/mine', 'get inmemorychannels/trace ns/pipe'].includes(
        key,
      )
      return { ...object, status: { allowed: spec.user === 'alice' && allowed } }
    },
  }
  const way = (kind: string, name: string, sequence: number) =>
    `${JSON.stringify({ sequence, channel: { kind, namespace: 'ns', name } })}\n`
  const ways = [
    way('Broker', 'mine', 1),
    way('Broker', 'secret', 1),
    way('Channel', 'pipe', 1),
    way('Broker', 'mine', 2),
    way('Broker', 'secret', 2),
  ]
  const shown = async (username: string) => {
    const found: string[] = []
    const user = { username, groups: [] }
    for await (const line of readableWays(Readable.from(ways), user, client)) found.push(line)
    return found
  }
  assert.deepEqual(await shown('alice'), [ways[0], ways[2], ways[3]])
  assert.equal(asked.length, 4, 'each place is asked for once')
  assert.deepEqual(await shown('bob'), [])
})
