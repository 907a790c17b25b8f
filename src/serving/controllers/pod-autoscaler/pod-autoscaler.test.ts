import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rfc3339 } from '../../../lib/clock.ts'
import { controllerRef } from '../../../kube/api/meta.ts'
import type { Condition } from '../../../knative/conditions.ts'
import { aDeployment } from '../../../testing/kube-objects.ts'
import { aPodAutoscaler } from '../../../testing/serving.ts'
import { SimClock } from '../../../testing/sim-clock.ts'
import { createAutoscaler } from '../../autoscaler/autoscaler.ts'
import { deciderSpec } from '../../autoscaler/decider-spec.ts'
import { configAutoscaler } from '../../api/config/autoscaler.ts'
import { configDeployment } from '../../api/config/deployment.ts'
import type { PodAutoscaler, PodAutoscalerStatus } from '../../api/pod-autoscaler.ts'
import type { ServerlessService } from '../../api/serverless-service.ts'
import { createReadConfig } from '../config.ts'
import { podAutoscalerReconciler, type World } from './pod-autoscaler.ts'
import { desiredServerlessService } from './serverless-service.ts'

const nowMs = Date.UTC(2026, 0, 1)
const ago = (seconds: number) => rfc3339(nowMs - seconds * 1000)

const reconciler = podAutoscalerReconciler({
  readConfig: createReadConfig(),
  autoscaler: createAutoscaler({ clock: new SimClock(), onDecision: () => {} }),
  gatewayReady: () => true,
  onDecision: () => ({ [Symbol.dispose]: () => {} }),
})

const pa = (
  active: Condition['status'] | undefined,
  activeSeconds = 0,
  annotations = {},
  spec = {},
): PodAutoscaler => ({
  ...aPodAutoscaler('r', annotations, spec),
  ...(active && {
    status: {
      observedGeneration: 1,
      conditions: [
        { type: 'Active', status: active, lastTransitionTime: ago(activeSeconds) },
        { type: 'ScaleTargetInitialized', status: 'True' },
      ],
    },
  }),
})

const sks = (of: PodAutoscaler, ready: boolean, backedSeconds = 0): ServerlessService => ({
  ...desiredServerlessService(of, 'Proxy', 2),
  metadata: {
    ...desiredServerlessService(of, 'Proxy', 2).metadata,
    generation: 1,
    ownerReferences: [controllerRef(of)],
  },
  status: {
    observedGeneration: 1,
    privateServiceName: 'r-private',
    serviceName: 'r',
    conditions: [
      {
        type: 'Ready',
        status: ready ? 'True' : 'Unknown',
        ...(!ready && { reason: 'NoHealthyBackends', message: 'K8s Service is not ready' }),
      },
      {
        type: 'ActivatorEndpointsPopulated',
        status: 'True',
        lastTransitionTime: ago(backedSeconds),
      },
    ],
  },
})

function plan(of: PodAutoscaler, world: Partial<World> = {}) {
  const result = reconciler.plan(
    {
      autoscaler: of,
      sks: sks(of, true),
      deployment: aDeployment('r-deployment', 1),
      pods: [],
      readyPods: 1,
      spec: deciderSpec(of, configAutoscaler.defaults),
      desiredScale: 1,
      excessBurstCapacity: -111,
      gatewayReady: true,
      config: { autoscaler: configAutoscaler.defaults, deployment: configDeployment.defaults },
      ...world,
    },
    nowMs,
  )
  const status = result.status as PodAutoscalerStatus
  const wanted = result.apply?.find(({ kind }) => kind.kind === 'ServerlessService')?.desired as
    | ServerlessService
    | undefined
  const told = Object.fromEntries(
    (status.conditions ?? []).map(({ type, status: value, reason }) => [
      type,
      [value, reason].filter(Boolean).join(' '),
    ]),
  )
  return {
    ...result,
    status,
    told,
    mode: wanted?.spec.mode,
    scale: (result.patch?.[0]?.body as { spec: { replicas: number } } | undefined)?.spec.replicas,
  }
}

test('first of all the ServerlessService is wanted', () => {
  const { apply, told, status, mode } = plan(pa(undefined), {
    sks: undefined,
    desiredScale: -1,
    readyPods: 0,
  })
  assert.equal(apply?.length, 1)
  assert.equal(mode, 'Proxy')
  assert.deepEqual(told, {
    Active: 'Unknown Queued',
    Ready: 'Unknown Queued',
    SKSReady: 'Unknown NotReady',
    ScaleTargetInitialized: 'Unknown',
  })
  assert.equal(status.desiredScale, -1)
  assert.equal(status.actualScale, 0)
})

test('what the autoscaler wants is applied within the bounds', () => {
  const scale = (desiredScale: number, annotations = {}) =>
    plan(pa('True', 5, annotations), { desiredScale }).scale
  assert.equal(scale(1), undefined, 'it is so already')
  assert.equal(scale(4), 4)
  assert.equal(scale(4, { 'autoscaling.knative.dev/max-scale': '3' }), 3)
  assert.equal(scale(0, { 'autoscaling.knative.dev/min-scale': '2' }), 2)
  assert.equal(plan(pa('True', 5), { deployment: undefined, desiredScale: 4 }).scale, undefined)
})

test('to zero: first one stable window active, then inactive, then the last pod goes', () => {
  const early = plan(pa('True', 20), { desiredScale: 0 })
  assert.equal(early.scale, undefined)
  assert.equal(early.requeueAfterMs, 40_000)
  assert.equal(early.told['Active'], 'True')
  const idle = plan(pa('True', 60), { desiredScale: 0 })
  assert.equal(idle.scale, undefined)
  assert.equal(idle.told['Active'], 'False NoTraffic')
  assert.equal(idle.mode, 'Proxy')
  const of = pa('False', 3)
  assert.equal(plan(of, { desiredScale: 0, sks: sks(of, true, 300) }).scale, 0)
  assert.equal(plan(of, { desiredScale: 0, sks: sks(of, true, 10) }).requeueAfterMs, 20_000)
  const apart = plan(of, { desiredScale: 0, sks: sks(of, true, 300), gatewayReady: false })
  assert.equal(apart.scale, undefined, 'nobody would hold the requests')
  assert.equal(apart.requeueAfterMs, 1000)
})

test('while pods come up requests are buffered; who never comes up is given up', () => {
  const of = pa('Unknown', 10)
  const waiting = plan(of, { readyPods: 0, sks: sks(of, false), desiredScale: 1 })
  assert.equal(waiting.told['Active'], 'Unknown Queued')
  assert.equal(waiting.told['SKSReady'], 'Unknown NotReady')
  const late = pa('Unknown', 631)
  const given = plan(late, { readyPods: 0, sks: sks(late, false), desiredScale: 0 })
  assert.equal(given.scale, 0)
  assert.equal(given.told['Active'], 'False TimedOut')
})

test('a restart of the autoscaler forgets no scale', () => {
  const of = pa('True', 100)
  const stored = { ...of, status: { ...of.status, desiredScale: 3 } }
  const { status, scale } = plan(stored, { desiredScale: -1, readyPods: 3 })
  assert.equal(status.desiredScale, 3)
  assert.equal(scale, undefined)
})

test('only a Revision with room to spare is served without the activator', () => {
  assert.equal(plan(pa('True', 5), { excessBurstCapacity: 0 }).mode, 'Serve')
  assert.equal(plan(pa('True', 5), { excessBurstCapacity: -1 }).mode, 'Proxy')
})

test('other classes are left to others', () => {
  const handles = (name: string) =>
    reconciler.handles?.(aPodAutoscaler('r', { 'autoscaling.knative.dev/class': name }))
  assert.equal(handles('kpa.autoscaling.knative.dev'), true)
  assert.equal(handles('hpa.autoscaling.knative.dev'), false)
})
