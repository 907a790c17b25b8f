import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pod } from './pod.ts'
import { summarizePod } from './pod-status.ts'

type Status = NonNullable<Pod['status']>
type ContainerStatus = NonNullable<Status['containerStatuses']>[number]

const container = (name: string, more: Partial<ContainerStatus> = {}): ContainerStatus => ({
  name,
  image: 'x',
  imageID: '',
  ready: false,
  restartCount: 0,
  ...more,
})
const running = { running: { startedAt: '1970-01-01T00:00:00Z' } }
const ended = (exitCode: number, reason = '') => ({
  terminated: { exitCode, reason, finishedAt: '1970-01-01T00:00:47Z' },
})

function pod(status: Status, spec: Partial<Pod['spec']> = {}, deletionTimestamp?: string): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', ...(deletionTimestamp && { deletionTimestamp }) },
    spec: { containers: [{ name: 'c' }], ...spec },
    status,
  }
}

const cells = (each: Pod) => {
  const { ready, status, restarts } = summarizePod(each, 60_000)
  return [ready, status, restarts]
}

test('a pod on its way up', () => {
  assert.deepEqual(cells(pod({ phase: 'Pending' })), ['0/1', 'Pending', '0'])
  const waiting = (reason: string) => ({ waiting: { reason } })
  assert.deepEqual(
    cells(
      pod({
        phase: 'Pending',
        containerStatuses: [container('c', { state: waiting('ContainerCreating') })],
      }),
    ),
    ['0/1', 'ContainerCreating', '0'],
  )
  assert.deepEqual(
    cells(
      pod({
        phase: 'Running',
        containerStatuses: [container('c', { ready: true, state: running })],
      }),
    ),
    ['1/1', 'Running', '0'],
  )
})

test('a pod that keeps falling over', () => {
  const crashing = container('c', {
    restartCount: 4,
    state: { waiting: { reason: 'CrashLoopBackOff' } },
    lastState: ended(1, 'Error'),
  })
  assert.deepEqual(cells(pod({ phase: 'Running', containerStatuses: [crashing] })), [
    '0/1',
    'CrashLoopBackOff',
    '4 (13s ago)',
  ])
})

test('ended containers: by reason, signal or exit code', () => {
  const of = (state: ContainerStatus['state'] & object) =>
    cells(pod({ phase: 'Failed', containerStatuses: [container('c', { state })] }))[1]
  assert.equal(of(ended(1, 'Error')), 'Error')
  assert.equal(of(ended(3)), 'ExitCode:3')
  assert.equal(of({ terminated: { exitCode: 137, signal: 9 } }), 'Signal:9')
})

test('one ended, another running: Running when ready, else NotReady', () => {
  const containerStatuses = [
    container('a', { state: ended(0, 'Completed') }),
    container('b', { ready: true, state: running }),
  ]
  const spec = { containers: [{ name: 'a' }, { name: 'b' }] }
  const ready = [{ type: 'Ready', status: 'True' }]
  assert.equal(
    cells(pod({ phase: 'Running', containerStatuses, conditions: ready }, spec))[1],
    'Running',
  )
  assert.equal(cells(pod({ phase: 'Running', containerStatuses }, spec))[1], 'NotReady')
})

test('init containers speak first', () => {
  const initContainers = [{ name: 'i1' }, { name: 'i2' }]
  const of = (...initContainerStatuses: ContainerStatus[]) =>
    cells(pod({ phase: 'Pending', initContainerStatuses }, { initContainers }))[1]
  assert.equal(of(container('i1', { state: running }), container('i2')), 'Init:0/2')
  assert.equal(of(container('i1', { state: ended(0) }), container('i2')), 'Init:1/2')
  assert.equal(of(container('i1', { state: ended(1, 'Error') })), 'Init:Error')
  assert.equal(
    of(container('i1', { state: { waiting: { reason: 'ImagePullBackOff' } } })),
    'Init:ImagePullBackOff',
  )
})

test('a sidecar counts among the containers once it has started', () => {
  const initContainers = [{ name: 'side', restartPolicy: 'Always' }]
  const initContainerStatuses = [container('side', { ready: true, started: true, state: running })]
  const containerStatuses = [container('c', { ready: true, state: running })]
  assert.deepEqual(
    cells(pod({ phase: 'Running', initContainerStatuses, containerStatuses }, { initContainers })),
    ['2/2', 'Running', '0'],
  )
})

test('a pod on its way down is terminating', () => {
  const containerStatuses = [container('c', { ready: true, state: running })]
  const of = (status: Status) => cells(pod(status, {}, '1970-01-01T00:00:30Z'))[1]
  assert.equal(of({ phase: 'Running', containerStatuses }), 'Terminating')
  assert.equal(of({ phase: 'Running', reason: 'NodeLost' }), 'Unknown')
})
