import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rfc3339 } from '../../../lib/clock.ts'
import { ControllerRevision } from '../../api/controller-revision.ts'
import { PersistentVolumeClaim } from '../../api/persistent-volume-claim.ts'
import { Pod } from '../../api/pod.ts'
import { StatefulSet } from '../../api/stateful-set.ts'
import { simulate } from '../../controller/convergence.ts'
import { statefulSet } from './stateful-set.ts'

const nowMs = Date.UTC(2026, 0, 2)
const key = { namespace: 'default', name: 'db' }
const template = (image: string) => ({
  metadata: { labels: { app: 'db' } },
  spec: { containers: [{ name: 'c', image }] },
})

function start(spec: Partial<StatefulSet['spec']> = {}) {
  const simulation = simulate([statefulSet])
  simulation.put(StatefulSet, {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name: 'db', namespace: 'default' },
    spec: {
      replicas: 3,
      serviceName: 'db',
      selector: { matchLabels: { app: 'db' } },
      template: template('v1'),
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 0 } },
      ...spec,
    },
  })
  const settle = () => void simulation.settle({ nowMs })
  settle()
  const pods = () => simulation.reader.list(Pod, 'default')
  const names = () =>
    pods()
      .map(({ metadata }) => metadata.name)
      .toSorted()
  const images = () =>
    pods()
      .toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
      .map(({ spec: { containers } }) => containers[0]?.image)
  const ready = (name: string) => {
    const pod = simulation.reader.get(Pod, { namespace: 'default', name })
    assert.ok(pod, name)
    const lastTransitionTime = rfc3339(nowMs - 1_000)
    const conditions = [{ type: 'Ready', status: 'True', lastTransitionTime }]
    simulation.put(Pod, { ...pod, status: { phase: 'Running', conditions } })
    settle()
  }
  const now = () => {
    const set = simulation.reader.get(StatefulSet, key)
    assert.ok(set)
    return set
  }
  const change = (change_: Partial<StatefulSet['spec']>) => {
    simulation.put(StatefulSet, { ...now(), spec: { ...now().spec, ...change_ } })
    settle()
  }
  /** Until every pod there is is ready. */
  const allReady = () => {
    for (let i = 0; i < 20; i++) {
      const waiting = pods().find((pod) => !pod.status?.conditions)
      if (!waiting) return
      ready(waiting.metadata.name)
    }
  }
  return { simulation, pods, names, images, ready, allReady, now, change }
}

test('in order: the next pod comes when the one before is ready', () => {
  const { names, ready, now } = start()
  assert.deepEqual(names(), ['db-0'])
  ready('db-0')
  assert.deepEqual(names(), ['db-0', 'db-1'])
  ready('db-1')
  ready('db-2')
  assert.deepEqual(names(), ['db-0', 'db-1', 'db-2'])
  const { readyReplicas, currentRevision, updateRevision, currentReplicas } = now().status ?? {}
  assert.deepEqual([readyReplicas, currentReplicas], [3, 3])
  assert.equal(currentRevision, updateRevision)
})

test('Parallel: all at once', () => {
  assert.equal(start({ podManagementPolicy: 'Parallel' }).names().length, 3)
})

test('scaled down from the highest number', () => {
  const { names, allReady, change } = start()
  allReady()
  change({ replicas: 1 })
  assert.deepEqual(names(), ['db-0'])
})

test('names, labels and claims are its own', () => {
  const { pods, simulation } = start({
    volumeClaimTemplates: [
      { metadata: { name: 'data' }, spec: { accessModes: ['ReadWriteOnce'] } },
    ],
  })
  const [pod] = pods()
  assert.equal(pod?.spec.hostname, 'db-0')
  assert.equal(pod.spec.subdomain, 'db')
  assert.equal(pod.metadata.labels?.['apps.kubernetes.io/pod-index'], '0')
  assert.equal(pod.spec.volumes?.[0]?.persistentVolumeClaim?.claimName, 'data-db-0')
  assert.ok(
    simulation.reader.get(PersistentVolumeClaim, { namespace: 'default', name: 'data-db-0' }),
  )
})

test('a new template goes from the highest number down, one after the other, and back again', () => {
  const { images, allReady, change, now, ready, simulation } = start()
  allReady()
  change({ template: template('v2') })
  assert.deepEqual(images(), ['v1', 'v1', 'v2'])
  ready('db-2')
  assert.deepEqual(images(), ['v1', 'v2', 'v2'])
  allReady()
  assert.deepEqual(images(), ['v2', 'v2', 'v2'])
  assert.equal(now().status?.currentRevision, now().status?.updateRevision)
  change({ template: template('v1') })
  allReady()
  assert.deepEqual(images(), ['v1', 'v1', 'v1'])
  const revisions = simulation.reader.list(ControllerRevision, 'default')
  assert.deepEqual(
    revisions.map(({ revision }) => revision).toSorted((a, b) => a - b),
    [2, 3],
  )
})

test('a partition keeps the pods below it as they are', () => {
  const { images, allReady, change } = start()
  allReady()
  change({
    template: template('v2'),
    updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 2 } },
  })
  allReady()
  assert.deepEqual(images(), ['v1', 'v1', 'v2'])
})

test('OnDelete: pods change when somebody deletes them', () => {
  const { images, allReady, change, simulation } = start({ updateStrategy: { type: 'OnDelete' } })
  allReady()
  change({ template: template('v2') })
  assert.deepEqual(images(), ['v1', 'v1', 'v1'])
  simulation.delete(Pod, { namespace: 'default', name: 'db-1' })
  simulation.settle({ nowMs })
  assert.deepEqual(images(), ['v1', 'v2', 'v1'])
})
