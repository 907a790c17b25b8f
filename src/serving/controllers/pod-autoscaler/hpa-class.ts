/**
 * PodAutoscaler of the HPA class with a metric of its own, cpu or memory: a HorizontalPodAutoscaler on the Revision's
 * Deployment does the scaling, and never to zero (upstream: pkg/reconciler/autoscaling/hpa). With
 * concurrency or rps it is scaled as the KPA class is, `pod-autoscaler.ts`.
 */
import { Deployment } from '../../../kube/api/deployment.ts'
import {
  HorizontalPodAutoscaler,
  type MetricSpec,
} from '../../../kube/api/horizontal-pod-autoscaler.ts'
import { apiVersionOf } from '../../../kube/api/kind.ts'
import {
  controllerRef,
  isControlledBy,
  keyOf,
  type KubeObject,
  type ObjectKey,
} from '../../../kube/api/meta.ts'
import { quantityValue } from '../../../kube/api/quantity.ts'
import type { Plan, Reconciler } from '../../../kube/controller/reconciler.ts'
import { conditionOf, finish, isReady } from '../../../knative/conditions.ts'
import {
  maxScale,
  metric as metricName,
  minScale,
  target as targetOf,
} from '../../api/autoscaling-annotations.ts'
import { configAutoscaler, type AutoscalerConfig } from '../../api/config/autoscaler.ts'
import { annotation, hpaClass, label } from '../../api/names.ts'
import {
  PodAutoscaler,
  podAutoscalerConditions,
  type PodAutoscalerStatus,
} from '../../api/pod-autoscaler.ts'
import { ServerlessService } from '../../api/serverless-service.ts'
import { watchConfigs, type ReadConfig } from '../config.ts'
import { without } from '../copied-metadata.ts'
import { desiredServerlessService } from './serverless-service.ts'
import { notOwned, sksNotReady, sksReady } from './status.ts'

interface World {
  readonly autoscaler: PodAutoscaler
  readonly sks: ServerlessService | undefined
  readonly hpa: HorizontalPodAutoscaler | undefined
  readonly deployment: Deployment | undefined
  readonly config: AutoscalerConfig
}

/** Cores that a pod counts as asking for when it does not say: what Knative's documentation gives one. */
const assumedCores = 0.4
/** HorizontalPodAutoscalers always have a bound. */
const unbounded = 2_147_483_647

/** True when the autoscaler of requests serves it: by its class, or because it is scaled by requests. */
export function isScaledByRequests({ metadata: { annotations } }: PodAutoscaler): boolean {
  if (annotations?.[annotation.autoscalingClass] !== hpaClass) return false
  const measured = annotations[annotation.autoscalingMetric]
  return measured === 'concurrency' || measured === 'rps'
}

export const isHpaClass = ({ metadata }: PodAutoscaler): boolean =>
  metadata.annotations?.[annotation.autoscalingClass] === hpaClass

export const hpaClassReconciler = (readConfig: ReadConfig): Reconciler<PodAutoscaler, World> => ({
  name: 'hpa-class-podautoscaler-controller',
  kind: PodAutoscaler,
  watches: [
    { kind: ServerlessService, wake: 'owner' },
    { kind: HorizontalPodAutoscaler, wake: 'owner' },
    { kind: Deployment, wake: ofRevision },
    watchConfigs(PodAutoscaler, configAutoscaler),
  ],
  handles: (autoscaler) => isHpaClass(autoscaler) && !isScaledByRequests(autoscaler),
  observe(autoscaler, read) {
    const key = keyOf(autoscaler)
    return {
      autoscaler,
      sks: read.get(ServerlessService, key),
      hpa: read.get(HorizontalPodAutoscaler, key),
      deployment: read.get(Deployment, {
        namespace: key.namespace,
        name: autoscaler.spec.scaleTargetRef.name ?? '',
      }),
      config: readConfig(read, configAutoscaler),
    }
  },
  plan(world, nowMs): Plan {
    const { autoscaler, sks, hpa } = world
    const { generation = 0, name } = autoscaler.metadata
    const begun = podAutoscalerConditions.begin(autoscaler.status ?? {}, generation, nowMs)
    const done = (status: PodAutoscalerStatus): Pick<Plan, 'status'> => ({
      status: finish(status, autoscaler.status, generation, nowMs),
    })
    const strangers = { ServerlessService: sks, HorizontalPodAutoscaler: hpa }
    for (const [kind, found] of Object.entries(strangers))
      if (found && !isControlledBy(found, autoscaler))
        return {
          ...done(notOwned(begun, kind, name, nowMs)),
          error: new Error(`PA: ${name} does not own ${kind}: ${name}`),
        }
    return {
      apply: [
        { kind: HorizontalPodAutoscaler, desired: desiredAutoscaler(world) },
        { kind: ServerlessService, desired: desiredServerlessService(autoscaler, 'Serve', 0) },
      ],
      ...done(statusOf(world, begun, nowMs)),
    }
  },
})

function ofRevision({ metadata }: KubeObject): readonly ObjectKey[] {
  const name = metadata.labels?.[label.revision]
  return name ? [{ namespace: metadata.namespace ?? '', name }] : []
}

function statusOf({ sks, hpa, deployment }: World, begun: PodAutoscalerStatus, nowMs: number) {
  const { serviceName, privateServiceName } = sks?.status ?? {}
  const status: PodAutoscalerStatus = {
    ...begun,
    ...(serviceName && { serviceName }),
    ...(privateServiceName && { metricsServiceName: privateServiceName }),
    actualScale: deployment?.status?.readyReplicas ?? 0,
    desiredScale: hpa?.status?.desiredReplicas || (deployment?.spec.replicas ?? 1),
  }
  const active = podAutoscalerConditions.markTrue(status, 'Active', nowMs)
  if (!sks || !isReady(sks))
    return sksNotReady(
      active,
      sks ? (conditionOf(sks.status, 'Ready')?.message ?? '') : 'No Private Service Name',
      nowMs,
    )
  return podAutoscalerConditions.markTrue(sksReady(active, nowMs), 'ScaleTargetInitialized', nowMs)
}

function desiredAutoscaler({ autoscaler, deployment, config }: World): HorizontalPodAutoscaler {
  const { name, namespace, labels, annotations } = autoscaler.metadata
  const most = maxScale(annotations, config)
  const { apiVersion = 'apps/v1', kind = 'Deployment' } = autoscaler.spec.scaleTargetRef
  return {
    apiVersion: apiVersionOf(HorizontalPodAutoscaler),
    kind: HorizontalPodAutoscaler.kind,
    metadata: {
      name,
      ...(namespace && { namespace }),
      ...(labels && { labels }),
      annotations: without(annotations, (key) => key === annotation.copiedSettings),
      ownerReferences: [controllerRef(autoscaler)],
    },
    spec: {
      scaleTargetRef: { apiVersion, kind, name: autoscaler.spec.scaleTargetRef.name ?? '' },
      minReplicas: Math.max(1, minScale(annotations, config)),
      maxReplicas: most > 0 ? most : unbounded,
      metrics: [metricOf(metricName(annotations, config), targetOf(annotations), deployment)],
    },
  }
}

function metricOf(
  name: string,
  target: number | undefined,
  deployment: Deployment | undefined,
): MetricSpec {
  if (name === 'memory')
    return {
      type: 'Resource',
      resource: {
        name,
        target: { type: 'AverageValue', averageValue: `${Math.ceil(target ?? 100)}Mi` },
      },
    }
  if (name !== 'cpu')
    return {
      type: 'Pods',
      pods: {
        metric: { name },
        target: { type: 'AverageValue', averageValue: String(Math.ceil(target ?? 1)) },
      },
    }
  const percent = Math.ceil(target ?? 80)
  const containers = deployment?.spec.template?.spec?.containers ?? []
  const says = containers.every(
    ({ resources }) =>
      quantityValue(resources?.requests?.['cpu'] ?? '0') > 0 ||
      quantityValue(resources?.limits?.['cpu'] ?? '0') > 0,
  )
  if (says)
    return {
      type: 'Resource',
      resource: { name, target: { type: 'Utilization', averageUtilization: percent } },
    }
  // A percentage of a request that nobody made would be of nothing.
  const averageValue = `${Math.max(1, Math.round(percent * 10 * assumedCores))}m`
  return { type: 'Resource', resource: { name, target: { type: 'AverageValue', averageValue } } }
}
