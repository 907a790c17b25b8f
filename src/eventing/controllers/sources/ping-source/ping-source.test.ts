import assert from 'node:assert/strict'
import { test } from 'node:test'
import { conditionOf } from '../../../../knative/conditions.ts'
import { Service as CoreService } from '../../../../kube/api/service.ts'
import { PingSource } from '../../../api/sources/ping-source.ts'
import { start, willing } from '../../world.fixture.ts'
import { pingConfig, pingOf } from './ping-config.ts'

const ping = (spec: object = {}) => ({
  apiVersion: 'sources.knative.dev/v1',
  kind: 'PingSource',
  metadata: { name: 'ping' },
  spec: { sink: { ref: { apiVersion: 'v1', kind: 'Service', name: 'sink' } }, ...spec },
})
const sink = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'sink' },
  spec: { ports: [{ port: 80 }] },
}

test('left aside without its sink, and in step with it again, in a status and Events', async () => {
  await using world = await start()
  const reasons = async () =>
    (await world.eventsOf('ping'))
      .map(({ type, reason, count }) => `${type} ${reason} ${count}`)
      .toSorted()
  await world.create(ping())
  await world.settle()
  assert.equal((await world.ready(PingSource, 'ping'))?.reason, 'NotFound')
  assert.deepEqual(await reasons(), ['Normal PingSourceSkipped 1', 'Warning SinkNotFound 1'])
  await world.create(sink)
  await world.settle()
  await world.isReady(PingSource, 'ping')
  const { status } = await world.client.get<PingSource>(PingSource, world.key('ping'))
  assert.equal(status?.sinkUri, 'http://sink.default.svc.cluster.local')
  assert.deepEqual(status.ceAttributes, [
    { type: 'dev.knative.sources.ping', source: '/apis/v1/namespaces/default/pingsources/ping' },
  ])
  await world.client.patch(PingSource, world.key('ping'), {
    type: 'merge',
    body: { spec: { schedule: '@daily' } },
  })
  await world.settle()
  await world.client.delete(CoreService, world.key('sink'))
  await world.settle()
  const lost = await world.client.get<PingSource>(PingSource, world.key('ping'))
  assert.equal(lost.status?.sinkUri, undefined)
  assert.equal(conditionOf(lost.status, 'SinkProvided')?.status, 'False')
  assert.deepEqual(await reasons(), [
    'Normal PingSourceSkipped 2',
    'Normal PingSourceSynchronized 2',
    'Warning SinkNotFound 2',
  ])
})

test('what the engine can not read is a condition', async () => {
  await using world = await start({ ...willing, problemOf: () => 'schedule: unknown' })
  await world.create(sink)
  await world.create(ping())
  await world.settle()
  const ready = await world.ready(PingSource, 'ping')
  assert.deepEqual([ready?.reason, ready?.message], ['InvalidSchedule', 'schedule: unknown'])
})

test('what the engine is told of one', () => {
  const source = {
    ...ping(),
    metadata: { name: 'ping', namespace: 'shop', uid: 'u' },
    spec: {
      schedule: 'CRON_TZ=Asia/Tokyo 5/20 ? * * mon',
      contentType: 'text/plain',
      dataBase64: 'AAE=',
      ceOverrides: { extensions: { Colour: 'blue', type: 'mine' } },
    },
    status: { sinkUri: 'http://sink' },
  }
  const to = (url: string | undefined) => (url === undefined ? undefined : { url })
  assert.deepEqual(pingConfig(source, pingOf(source), to), {
    uid: 'u',
    namespace: 'shop',
    name: 'ping',
    schedule: '5,25,45 * * * 1',
    timezone: 'Asia/Tokyo',
    attributes: {
      type: 'mine',
      source: '/apis/v1/namespaces/shop/pingsources/ping',
      datacontenttype: 'text/plain',
      colour: 'blue',
    },
    data: 'AAE=',
    sink: { url: 'http://sink' },
  })
  // Without its sink there is nobody to tell.
  const { status: _, ...unresolved } = source
  assert.equal(pingConfig(unresolved, pingOf(unresolved), to), undefined)
})
