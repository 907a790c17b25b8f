import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rfc3339 } from '../../../lib/clock.ts'
import { seededRandom } from '../../../lib/random.ts'
import { DaemonSet } from '../../api/daemon-set.ts'
import { Node } from '../../api/node.ts'
import { Pod } from '../../api/pod.ts'
import { simulate } from '../../controller/convergence.ts'
import { daemonSet } from './daemon-set.ts'

const nowMs = Date.UTC(2026, 0, 2)
const template = (image: string, nodeSelector?: Readonly<Record<string, string>>) => ({
  metadata: { labels: { app: 'd' } },
  spec: { containers: [{ name: 'c', image }], ...(nodeSelector && { nodeSelector }) },
})

function start(spec: Partial<DaemonSet['spec']> = {}) {
  const simulation = simulate([daemonSet(seededRandom(1))])
  const labels = { disk: 'ssd' }
  for (const name of ['n1', 'n2'])
    simulation.put(Node, {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name, ...(name === 'n2' && { labels }) },
    })
  simulation.put(DaemonSet, {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name: 'd', namespace: 'default' },
    spec: { selector: { matchLabels: { app: 'd' } }, template: template('v1'), ...spec },
  })
  const settle = () => void simulation.settle({ nowMs })
  settle()
  const pods = () => simulation.reader.list(Pod, 'default')
  const ready = () => {
    for (const pod of pods()) {
      const lastTransitionTime = rfc3339(nowMs - 1_000)
      const conditions = [{ type: 'Ready', status: 'True', lastTransitionTime }]
      simulation.put(Pod, { ...pod, status: { phase: 'Running', conditions } })
    }
    settle()
  }
  const now = () => {
    const set = simulation.reader.get(DaemonSet, { namespace: 'default', name: 'd' })
    assert.ok(set)
    return set
  }
  const images = () =>
    pods()
      .map(({ spec: { containers } }) => containers[0]?.image)
      .toSorted((a = '', b = '') => a.localeCompare(b))
  return { simulation, pods, ready, now, settle, images }
}

test('one pod a node, and none where the selector says no', () => {
  const all = start()
  assert.deepEqual(
    all
      .pods()
      .map(({ spec }) => spec.nodeName)
      .toSorted((a = '', b = '') => a.localeCompare(b)),
    ['n1', 'n2'],
  )
  all.ready()
  const { desiredNumberScheduled, numberReady, updatedNumberScheduled } = all.now().status ?? {}
  assert.deepEqual([desiredNumberScheduled, numberReady, updatedNumberScheduled], [2, 2, 2])
  const some = start({ template: template('v1', { disk: 'ssd' }) })
  assert.deepEqual(
    some.pods().map(({ spec }) => spec.nodeName),
    ['n2'],
  )
})

test('rolled out one after the other; ended pods are replaced', () => {
  const { simulation, ready, now, settle, images, pods } = start()
  ready()
  simulation.put(DaemonSet, { ...now(), spec: { ...now().spec, template: template('v2') } })
  settle()
  assert.deepEqual(images(), ['v1', 'v2'])
  ready()
  ready()
  assert.deepEqual(images(), ['v2', 'v2'])
  const [pod] = pods()
  assert.ok(pod)
  simulation.put(Pod, { ...pod, status: { phase: 'Failed' } })
  settle()
  assert.equal(pods().length, 2)
  assert.ok(pods().every(({ metadata }) => metadata.uid !== pod.metadata.uid))
})
