import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Deployment } from '../../../kube/api/deployment.ts'
import type { Pod } from '../../../kube/api/pod.ts'
import { aDeployment } from '../../../testing/kube-objects.ts'
import { aPodAutoscaler } from '../../../testing/serving.ts'
import { conditionOf, type Condition } from '../../../knative/conditions.ts'
import type { PodAutoscaler, PodAutoscalerStatus } from '../../api/pod-autoscaler.ts'
import { revisionConditions, type RevisionStatus } from '../../api/revision.ts'
import { reachabilityOf } from './pod-autoscaler.ts'
import { withAutoscaler, withDeployment } from './status.ts'
import { aRevision } from '../../../testing/serving.ts'

const fresh = revisionConditions.begin({} as RevisionStatus, 1, 0)

const brief = (status: RevisionStatus) =>
  Object.fromEntries(
    (status.conditions ?? []).map(({ type, status: value, reason, message }) => [
      type,
      [value, reason, message].filter((part) => part !== undefined).join(' '),
    ]),
  )

type DeploymentStatus = NonNullable<Deployment['status']>
const deployment = (status: DeploymentStatus, replicas = 1): Deployment => ({
  ...aDeployment('d', replicas),
  status,
})

const progressing = (status: string, reason = '', message = '') => ({
  conditions: [{ type: 'Progressing', status, reason, message }],
})

const pod = (status: object): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace: 'default' },
  spec: { containers: [] },
  status: status as NonNullable<Pod['status']>,
})
const container = (state: object, lastState = {}) => ({
  containerStatuses: [
    { name: 'c', image: '', imageID: '', ready: false, restartCount: 0, state, lastState },
  ],
})

test('the Deployment says whether resources are available', () => {
  const available = (status: DeploymentStatus) =>
    brief(withDeployment(fresh, deployment(status), undefined, false, 0))['ResourcesAvailable']
  assert.equal(available({}), 'Unknown Deploying')
  assert.equal(available(progressing('True')), 'True')
  assert.equal(available(progressing('Unknown', 'Paused', 'm')), 'Unknown Paused m')
  assert.equal(
    available(progressing('False', 'ProgressDeadlineExceeded', 'timed out')),
    'False ProgressDeadlineExceeded timed out',
  )
  assert.equal(
    available({
      conditions: [
        ...progressing('True').conditions,
        { type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message: 'quota' },
      ],
    }),
    'False FailedCreate quota',
  )
})

test('a pod says why none is available', () => {
  const told = (status: object, seen: DeploymentStatus = progressing('True'), replicas = 1) => {
    const all = brief(withDeployment(fresh, deployment(seen, replicas), pod(status), false, 0))
    return [all['ResourcesAvailable'], all['ContainerHealthy']]
  }
  const ended = (exitCode: number, message?: string) =>
    container({ waiting: { reason: 'CrashLoopBackOff' } }, { terminated: { exitCode, message } })
  assert.deepEqual(told(ended(3, 'boom')), ['True', 'False ExitCode3 Container failed with: boom'])
  assert.deepEqual(told(ended(0)), [
    'True',
    'False ExitCode0 Container failed with: container exited with no error',
  ])
  assert.deepEqual(told(container({ terminated: { exitCode: 1, message: 'x' } })), [
    'True',
    'False ExitCode1 Container failed with: x',
  ])
  const waiting = container({ waiting: { reason: 'ImagePullBackOff', message: 'no' } })
  assert.deepEqual(told(waiting), ['True', 'Unknown'])
  assert.deepEqual(told(waiting, progressing('False', 'ProgressDeadlineExceeded', 'late')), [
    'False ImagePullBackOff no',
    'Unknown',
  ])
  const unschedulable = {
    conditions: [
      { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: 'no cpu' },
    ],
  }
  assert.deepEqual(told(unschedulable), ['False Unschedulable no cpu', 'Unknown'])
  assert.deepEqual(
    told(ended(3), { ...progressing('True'), availableReplicas: 1, readyReplicas: 1 }),
    ['True', 'True'],
  )
  assert.deepEqual(told(ended(3), progressing('True'), 0), ['True', 'Unknown'])
})

function autoscaler(
  ready: Condition['status'] | undefined,
  rest: Omit<PodAutoscalerStatus, 'conditions'> & { initialized?: boolean } = {},
): PodAutoscaler {
  const { initialized = false, ...status } = rest
  return {
    ...aPodAutoscaler('r'),
    status: {
      ...status,
      conditions: [
        ...(ready ? [{ type: 'Ready', status: ready, reason: 'Because', message: 'of this' }] : []),
        { type: 'ScaleTargetInitialized', status: initialized ? 'True' : 'Unknown' },
      ],
    },
  }
}

test('the PodAutoscaler keeps a revision ready at zero, and fails one that never came up', () => {
  const running = withDeployment(fresh, deployment(progressing('True')), undefined, false, 0)
  const seen = (pa: PodAutoscaler | undefined, from: RevisionStatus = running) =>
    brief(withAutoscaler(from, pa, 0))
  assert.deepEqual(seen(undefined), {
    Active: 'Unknown Deploying',
    ContainerHealthy: 'Unknown',
    Ready: 'Unknown Deploying',
    ResourcesAvailable: 'Unknown Deploying',
  })
  assert.deepEqual(seen(autoscaler('Unknown')), {
    Active: 'Unknown Because of this',
    ContainerHealthy: 'Unknown',
    Ready: 'Unknown Deploying',
    ResourcesAvailable: 'Unknown Deploying',
  })
  assert.deepEqual(seen(autoscaler('False', { initialized: true, serviceName: 'r' })), {
    Active: 'False Because of this',
    ContainerHealthy: 'True',
    Ready: 'True',
    ResourcesAvailable: 'True',
  })
  assert.equal(
    seen(autoscaler('False', { serviceName: 'r' }))['ResourcesAvailable'],
    'False ProgressDeadlineExceeded Initial scale was never achieved',
  )
  const crashed = revisionConditions.markFalse(running, 'ContainerHealthy', 'ExitCode1', 'x', 0)
  assert.equal(
    seen(autoscaler('True', { initialized: true, serviceName: 'r' }), crashed)['Ready'],
    'False ExitCode1 x',
  )
})

test('replica counts are shown while they are known', () => {
  const counts = (pa: PodAutoscaler) => {
    const { actualReplicas, desiredReplicas } = withAutoscaler(
      { ...fresh, actualReplicas: 7 },
      pa,
      0,
    )
    return [actualReplicas, desiredReplicas]
  }
  assert.deepEqual(counts(autoscaler('True', { actualScale: 0, desiredScale: 2 })), [0, 2])
  assert.deepEqual(counts(autoscaler('True', { actualScale: 1, desiredScale: -1 })), [1, undefined])
  assert.deepEqual(counts(autoscaler('True')), [undefined, undefined])
})

test('reachability follows the routing state, and what has failed is out of reach', () => {
  const state = (routingState: string) =>
    aRevision('r', undefined, { labels: { 'serving.knative.dev/routingState': routingState } })
  const none = deployment({}, 2)
  assert.equal(reachabilityOf(state('active'), fresh, none), 'Reachable')
  assert.equal(reachabilityOf(state('reserve'), fresh, none), 'Unreachable')
  assert.equal(reachabilityOf(state('pending'), fresh, none), '')
  const failed = revisionConditions.markFalse(fresh, 'ContainerHealthy', 'ExitCode1', '', 0)
  assert.equal(conditionOf(failed, 'Ready')?.status, 'False')
  assert.equal(reachabilityOf(state('active'), failed, none), 'Unreachable')
  assert.equal(
    reachabilityOf(state('active'), failed, deployment({ readyReplicas: 1 })),
    'Reachable',
  )
  assert.equal(reachabilityOf(state('active'), failed, deployment({}, 0)), 'Reachable')
})
