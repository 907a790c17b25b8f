import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pod } from '../../api/pod.ts'
import { freshContainer, type ContainerState } from '../container/container-state.ts'
import { phaseOf } from './pod-conditions.ts'
import { podStatus, qosClass } from './pod-status.ts'
import { countFailure, durationText, imageDelayMs, restartDelayMs } from './restart-backoff.ts'
import { planPod } from './sync-pod.ts'

const podOf = (spec: object): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace: 'ns', uid: 'u' },
  spec: { containers: [{ name: 'a', image: 'a' }], ...spec } as Pod['spec'],
})

const running = (name: string): ContainerState => ({
  ...freshContainer(name),
  restarts: 0,
  started: true,
  ready: true,
  state: { is: 'running', startedAtMs: 0 },
})
const ended = (name: string, exitCode: number, failures = 1): ContainerState => ({
  ...freshContainer(name),
  restarts: failures - 1,
  failures,
  state: {
    is: 'terminated',
    exitCode,
    reason: exitCode ? 'Error' : 'Completed',
    startedAtMs: 0,
    finishedAtMs: 1_000,
    containerID: '',
  },
})
const states = (...all: ContainerState[]) => new Map(all.map((state) => [state.name, state]))
const init = {
  initContainers: [
    { name: 'i', image: 'i' },
    { name: 'j', image: 'j' },
  ],
}
const sidecar = { initContainers: [{ name: 's', image: 's', restartPolicy: 'Always' }] }

const cases: readonly [string, object, ReadonlyMap<string, ContainerState>, object][] = [
  ['a fresh pod starts its containers', {}, states(), { start: ['a'], backOff: [] }],
  ['a running one is left alone', {}, states(running('a')), { start: [], backOff: [] }],
  ['init containers come first', init, states(), { start: ['i'], backOff: [] }],
  ['one after the other', init, states(ended('i', 0)), { start: ['j'], backOff: [] }],
  ['then the others', init, states(ended('i', 0), ended('j', 0)), { start: ['a'], backOff: [] }],
  [
    'a running init container is waited for',
    init,
    states(running('i')),
    { start: [], backOff: [] },
  ],
  [
    'a failed init container ends a pod that never restarts',
    { ...init, restartPolicy: 'Never' },
    states(ended('i', 1)),
    { start: [], backOff: [], finished: 'Failed' },
  ],
  ['a sidecar is started before', sidecar, states(), { start: ['s'], backOff: [] }],
  ['and stays beside', sidecar, states(running('s')), { start: ['a'], backOff: [] }],
  [
    'a sidecar does not keep a pod from finishing',
    { ...sidecar, restartPolicy: 'Never' },
    states(running('s'), ended('a', 0)),
    { start: [], backOff: [], finished: 'Succeeded' },
  ],
  ['the first restart is immediate', {}, states(ended('a', 1)), { start: ['a'], backOff: [] }],
  [
    'the second waits',
    {},
    states(ended('a', 1, 2)),
    {
      start: [],
      backOff: [
        {
          name: 'a',
          untilMs: 11_000,
          message: 'back-off 10s restarting failed container=a pod=p_ns(u)',
        },
      ],
      wakeAtMs: 11_000,
    },
  ],
  [
    'OnFailure: success is the end',
    { restartPolicy: 'OnFailure' },
    states(ended('a', 0)),
    { start: [], backOff: [], finished: 'Succeeded' },
  ],
  [
    'OnFailure: failure restarts',
    { restartPolicy: 'OnFailure' },
    states(ended('a', 1)),
    { start: ['a'], backOff: [] },
  ],
  [
    'Never: failure is the end',
    { restartPolicy: 'Never' },
    states(ended('a', 2)),
    { start: [], backOff: [], finished: 'Failed' },
  ],
  ['Always restarts after success too', {}, states(ended('a', 0)), { start: ['a'], backOff: [] }],
  [
    'a failed preparation is tried again later',
    {},
    states({ ...freshContainer('a'), notBeforeMs: 9_000 }),
    { start: [], backOff: [], wakeAtMs: 9_000 },
  ],
]
for (const [what, spec, world, expected] of cases)
  test(what, () => assert.deepEqual(planPod(podOf(spec), world, 2_000), expected))

test('restarts back off to five minutes and are forgiven after ten', () => {
  assert.deepEqual(
    [1, 2, 3, 4, 5, 6, 7, 50].map(restartDelayMs),
    [0, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000],
  )
  assert.equal(imageDelayMs(1), 10_000)
  assert.equal(countFailure(5, 599_999), 6)
  assert.equal(countFailure(5, 600_000), 1)
  assert.deepEqual([10_000, 80_000, 300_000, 3_661_000].map(durationText), [
    '10s',
    '1m20s',
    '5m0s',
    '1h1m1s',
  ])
})

const facts = { hostIP: '10.0.0.1', podIP: '10.0.0.2', startedAtMs: 0, nowMs: 5_000 }

test('a pod that waits for its init containers says so', () => {
  const status = podStatus(podOf(init), states(running('i')), facts)
  assert.equal(status.phase, 'Pending')
  assert.deepEqual(status.containerStatuses?.[0]?.state, { waiting: { reason: 'PodInitializing' } })
  assert.deepEqual(
    status.conditions?.map(({ type, status: value, reason, message }) => [
      type,
      value,
      reason,
      message,
    ]),
    [
      ['PodReadyToStartContainers', 'True', undefined, undefined],
      [
        'Initialized',
        'False',
        'ContainersNotInitialized',
        'containers with incomplete status: [i j]',
      ],
      [
        'Ready',
        'False',
        'ContainersNotReady',
        'containers with unknown status: [a], containers with unready status: [a]',
      ],
      [
        'ContainersReady',
        'False',
        'ContainersNotReady',
        'containers with unknown status: [a], containers with unready status: [a]',
      ],
      ['PodScheduled', 'True', undefined, undefined],
    ],
  )
})

test('times of conditions that did not change are kept', () => {
  const pod = podOf({})
  const first = podStatus(pod, states(running('a')), facts)
  const second = podStatus({ ...pod, status: first }, states({ ...running('a'), ready: false }), {
    ...facts,
    nowMs: 9_000,
  })
  const times = Object.fromEntries(
    second.conditions?.map((it) => [it.type, it.lastTransitionTime]) ?? [],
  )
  assert.equal(times['Initialized'], '1970-01-01T00:00:05Z')
  assert.equal(times['Ready'], '1970-01-01T00:00:09Z')
})

test('readiness gates are part of Ready', () => {
  const pod = podOf({ readinessGates: [{ conditionType: 'x/y' }] })
  const ready = podStatus(pod, states(running('a')), facts).conditions?.find(
    ({ type }) => type === 'Ready',
  )
  assert.equal(ready?.reason, 'ReadinessGatesNotReady')
})

test('once running, a pod stays running while containers restart', () => {
  const pod = podOf({})
  assert.equal(phaseOf(pod, states(), undefined), 'Pending')
  assert.equal(phaseOf(pod, states({ ...freshContainer('a'), restarts: 3 }), undefined), 'Running')
})

test('quality of service', () => {
  const of = (resources: object) =>
    qosClass(podOf({ containers: [{ name: 'a', image: 'a', resources }] }))
  assert.equal(of({}), 'BestEffort')
  assert.equal(of({ requests: { cpu: '1' } }), 'Burstable')
  assert.equal(of({ limits: { cpu: '1', memory: '1Gi' } }), 'Guaranteed')
  assert.equal(of({ limits: { cpu: '1', memory: '1Gi' }, requests: { cpu: '500m' } }), 'Burstable')
})
