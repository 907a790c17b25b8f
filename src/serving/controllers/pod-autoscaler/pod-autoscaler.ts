/**
 * PodAutoscaler of the KPA class: carries out what the autoscaler decides, brings revisions to zero and decides when the
 * activator stands in the path (upstream: pkg/reconciler/autoscaling/kpa). Other classes
 * are left to others.
 */
import { Deployment } from '../../../kube/api/deployment.ts'
import { isControlledBy, keyOf, keyText, type KubeObject } from '../../../kube/api/meta.ts'
import { Pod } from '../../../kube/api/pod.ts'
import type { Patch, Plan, Reconciler } from '../../../kube/controller/reconciler.ts'
import { conditionOf, finish, isReady } from '../../../knative/conditions.ts'
import type { ObjectKey } from '../../../kube/api/meta.ts'
import type { Autoscaler } from '../../autoscaler/autoscaler.ts'
import type { DeciderSpec } from '../../autoscaler/decide.ts'
import { deciderSpec } from '../../autoscaler/decider-spec.ts'
import {
  activeThreshold,
  numActivators,
  scaleStep,
  scaleUnknown,
  serverlessMode,
  type ActiveStatus,
} from '../../autoscaler/scale.ts'
import {
  maxScale,
  minScale,
  scaleToZeroPodRetentionPeriodMs,
} from '../../api/autoscaling-annotations.ts'
import { configAutoscaler, type AutoscalerConfig } from '../../api/config/autoscaler.ts'
import { configDeployment, type DeploymentConfig } from '../../api/config/deployment.ts'
import { freezeForMs } from '../../api/freezing.ts'
import { Metric } from '../../api/metric.ts'
import { annotation, kpaClass, label } from '../../api/names.ts'
import {
  PodAutoscaler,
  podAutoscalerConditions,
  type PodAutoscalerStatus,
} from '../../api/pod-autoscaler.ts'
import { ServerlessService } from '../../api/serverless-service.ts'
import { watchConfigs, type ReadConfig } from '../config.ts'
import { progressDeadlineMs } from '../revision/deployment.ts'
import { initialScaleOf } from './annotations.ts'
import { freezeStep } from './freezing.ts'
import { isHpaClass, isScaledByRequests } from './hpa-class.ts'
import { desiredMetric } from './metric.ts'
import { desiredServerlessService } from './serverless-service.ts'
import { notOwned, sksNotReady, sksReady, withScale } from './status.ts'

export interface World {
  readonly autoscaler: PodAutoscaler
  readonly sks: ServerlessService | undefined
  readonly deployment: Deployment | undefined
  /** Pods that are neither ended nor being deleted. */
  readonly pods: readonly Pod[]
  /** Those of them that run and are ready. */
  readonly readyPods: number
  readonly spec: DeciderSpec
  /** What the autoscaler wants. */
  readonly desiredScale: number
  readonly excessBurstCapacity: number
  /** The gateway holds requests for revisions without pods. */
  readonly gatewayReady: boolean
  readonly config: { readonly autoscaler: AutoscalerConfig; readonly deployment: DeploymentConfig }
}

export interface PodAutoscalerDeps {
  readonly readConfig: ReadConfig
  readonly autoscaler: Autoscaler
  readonly gatewayReady: () => boolean
  /** Calls the listener with each revision about which the autoscaler has decided anew. */
  readonly onDecision: (listener: (revision: ObjectKey) => void) => Disposable
}

export const podAutoscalerReconciler = ({
  readConfig,
  autoscaler: scaler,
  gatewayReady,
  onDecision,
}: PodAutoscalerDeps): Reconciler<PodAutoscaler, World> => ({
  name: 'kpa-class-podautoscaler-controller',
  urgent: true,
  kind: PodAutoscaler,
  watches: [
    { kind: ServerlessService, wake: 'owner' },
    { kind: Metric, wake: 'owner' },
    { kind: Pod, wake: ofRevision },
    { kind: Deployment, wake: ofRevision },
    watchConfigs(PodAutoscaler, configAutoscaler, configDeployment),
  ],

  handles: (autoscaler) =>
    (autoscaler.metadata.annotations?.[annotation.autoscalingClass] ?? kpaClass) === kpaClass ||
    isScaledByRequests(autoscaler),

  observe(autoscaler, read) {
    const key = keyOf(autoscaler)
    const { namespace } = key
    const config = {
      autoscaler: readConfig(read, configAutoscaler),
      deployment: readConfig(read, configDeployment),
    }
    const uid = autoscaler.metadata.labels?.[label.revisionUID]
    const selector = uid ? { [label.revisionUID]: uid } : { [label.revision]: key.name }
    const pods = read.list(Pod, namespace, selector).filter(isActivePod)
    const readyPods = pods.filter(isReadyPod).length
    const spec = deciderSpec(autoscaler, config.autoscaler)
    const id = keyText(key)
    // The autoscaler is told what it needs to know whenever it is seen: it has no watch of its own.
    scaler.set(id, spec)
    scaler.setReadyPods(id, readyPods)
    const decision = scaler.decision(id)
    return {
      autoscaler,
      sks: read.get(ServerlessService, key),
      deployment: read.get(Deployment, {
        namespace,
        name: autoscaler.spec.scaleTargetRef.name ?? '',
      }),
      pods,
      readyPods,
      spec,
      desiredScale: decision?.desiredScale ?? scaleUnknown,
      excessBurstCapacity: decision?.excessBurstCapacity ?? 0,
      gatewayReady: gatewayReady(),
      config,
    }
  },

  plan(world, nowMs) {
    const { autoscaler } = world
    const { generation = 0 } = autoscaler.metadata
    const begun = podAutoscalerConditions.begin(autoscaler.status ?? {}, generation, nowMs)
    const { status, ...plan } = decide(world, begun, nowMs)
    const end = finish(status, autoscaler.status, generation, nowMs)
    return { ...plan, status: end, statusCanWait: true }
  },

  gone(key) {
    scaler.remove(keyText(key))
    return {}
  },

  connect: onDecision,
})

/** A PodAutoscaler bears the name of its Revision, which pods and Deployment carry as a label. */
function ofRevision({ metadata }: KubeObject): readonly ObjectKey[] {
  const name = metadata.labels?.[label.revision]
  return name ? [{ namespace: metadata.namespace ?? '', name }] : []
}

const isActivePod = ({ metadata, status }: Pod): boolean =>
  metadata.deletionTimestamp === undefined &&
  status?.phase !== 'Succeeded' &&
  status?.phase !== 'Failed'

const isReadyPod = ({ status }: Pod): boolean =>
  status?.phase === 'Running' &&
  (status.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') ??
    false)

function decide(
  world: World,
  begun: PodAutoscalerStatus,
  nowMs: number,
): Plan & { readonly status: PodAutoscalerStatus } {
  const { autoscaler, sks, readyPods, spec, excessBurstCapacity, config } = world
  const { name } = autoscaler.metadata
  const { initialScale } = scaleSettings(world)
  if (sks && !isControlledBy(sks, autoscaler))
    return {
      status: notOwned(begun, 'ServerlessService', name, nowMs),
      error: new Error(`PA: ${name} does not own SKS: ${name}`),
    }
  const initialized = conditionOf(begun, 'ScaleTargetInitialized')?.status === 'True'
  const threshold = activeThreshold({
    ...scaleSettings(world),
    initialScale,
    initialized,
    reachability: autoscaler.spec.reachability ?? '',
  })
  const privateName = sks?.status?.privateServiceName
  if (!sks || !privateName) {
    const status = sksNotReady(begun, 'No Private Service Name', nowMs)
    return {
      apply: sks ? [] : [applySks(autoscaler, 'Proxy', 2)],
      status: withScale(status, { want: scaleUnknown, readyPods, threshold }, nowMs),
    }
  }
  const { step, patch: freezing } = freezeStep(
    nextStep(world, sks, begun, initialized, nowMs),
    {
      pods: world.pods,
      isReady: isReadyPod,
      // A Revision that traffic can't reach waits for nothing.
      freezeForMs:
        autoscaler.spec.reachability === 'Unreachable'
          ? 0
          : freezeForMs(autoscaler.metadata.annotations, config.autoscaler),
    },
    nowMs,
  )
  const active = activeSince(begun, nowMs).status
  const mode = serverlessMode(step.want, excessBurstCapacity, active)
  const activators = numActivators({
    readyPods,
    totalValue: spec.totalValue,
    targetBurstCapacity: spec.targetBurstCapacity,
    activatorCapacity: config.autoscaler.activatorCapacity,
  })
  const { serviceName } = sks.status ?? {}
  const status = isReady(sks)
    ? sksReady(begun, nowMs)
    : sksNotReady(begun, conditionOf(sks.status, 'Ready')?.message ?? '', nowMs)
  return {
    apply: [
      applySks(autoscaler, mode, activators),
      { kind: Metric, desired: desiredMetric(autoscaler, spec, privateName) },
    ],
    patch: [...freezing, ...scalePatch(world, step.apply)],
    status: withScale(
      { ...status, metricsServiceName: privateName, ...(serviceName && { serviceName }) },
      { want: step.want, readyPods, threshold },
      nowMs,
    ),
    ...(step.requeueAfterMs !== undefined && { requeueAfterMs: step.requeueAfterMs }),
  }
}

const applySks = (autoscaler: PodAutoscaler, mode: 'Serve' | 'Proxy', activators: number) => ({
  kind: ServerlessService,
  desired: desiredServerlessService(autoscaler, mode, activators),
})

function scalePatch({ deployment }: World, replicas: number | undefined): readonly Patch[] {
  if (replicas === undefined || !deployment || deployment.spec.replicas === replicas) return []
  const body = { spec: { replicas } }
  return [{ kind: Deployment, key: keyOf(deployment), subresource: 'scale', body }]
}

const scaleSettings = ({ autoscaler, config }: World) => {
  const { annotations } = autoscaler.metadata
  return {
    bounds: {
      // The HPA class does not go to zero, whatever it measures.
      min: Math.max(minScale(annotations, config.autoscaler), isHpaClass(autoscaler) ? 1 : 0),
      max: maxScale(annotations, config.autoscaler),
    },
    initialScale: initialScaleOf(annotations, config.autoscaler),
  }
}

function activeSince(
  status: PodAutoscalerStatus,
  nowMs: number,
): { readonly status: ActiveStatus; readonly sinceMs: number } {
  const active = conditionOf(status, 'Active')
  const sinceMs = Date.parse(active?.lastTransitionTime ?? '')
  return { status: active?.status ?? 'Unknown', sinceMs: Number.isNaN(sinceMs) ? nowMs : sinceMs }
}

function nextStep(
  world: World,
  sks: ServerlessService,
  status: PodAutoscalerStatus,
  initialized: boolean,
  nowMs: number,
) {
  const { autoscaler, spec, config } = world
  const { annotations } = autoscaler.metadata
  const backed = conditionOf(sks.status, 'ActivatorEndpointsPopulated')
  return scaleStep(
    {
      ...scaleSettings(world),
      desired: world.desiredScale,
      initialized,
      reachability: autoscaler.spec.reachability ?? '',
      active: activeSince(status, nowMs),
      enableScaleToZero: config.autoscaler.enableScaleToZero && !isHpaClass(autoscaler),
      stableWindowMs: spec.stableWindowMs,
      scaleToZeroGracePeriodMs: config.autoscaler.scaleToZeroGracePeriodMs,
      scaleToZeroPodRetentionMs: scaleToZeroPodRetentionPeriodMs(annotations, config.autoscaler),
      progressDeadlineMs: progressDeadlineMs(annotations, config.deployment),
      targetBurstCapacity: spec.targetBurstCapacity,
      mode: sks.spec.mode ?? 'Serve',
      ...(backed?.status === 'True' && {
        activatorBackedSinceMs: Date.parse(backed.lastTransitionTime ?? '') || nowMs,
      }),
      // The gateway is always in the path: that it is connected is all the probe could find out.
      probe: world.gatewayReady ? 'succeeded' : 'failed',
    },
    nowMs,
  )
}
