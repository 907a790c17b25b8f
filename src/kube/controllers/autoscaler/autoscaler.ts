/**
 * Looks at each HorizontalPodAutoscaler every 15 seconds: reads what its pods use from metrics.k8s.io, decides, and sets
 * the size of its target. What to do is decided in `replicas.ts` and `behavior.ts`.
 */
import { rfc3339 } from '../../../lib/clock.ts'
import { Deployment } from '../../api/deployment.ts'
import { HorizontalPodAutoscaler, type MetricSpec } from '../../api/horizontal-pod-autoscaler.ts'
import type { KindDefinition } from '../../api/kind.ts'
import { keyOf, keyText, type ObjectKey } from '../../api/meta.ts'
import { Pod } from '../../api/pod.ts'
import { PodMetrics } from '../../api/pod-metrics.ts'
import { ReplicaSet } from '../../api/replica-set.ts'
import { ReplicationController } from '../../api/replication-controller.ts'
import { parseLabelSelector } from '../../api/selectors.ts'
import { StatefulSet } from '../../api/stateful-set.ts'
import { hasReason } from '../../api/status-error.ts'
import { semanticallyEqual } from '../../controller/difference.ts'
import type { ControllerDeps } from '../../controller/loop.ts'
import { startWorker } from '../worker.ts'
import { decide, freshState, type ScalingState } from './behavior.ts'
import { proposeReplicas, type Proposal } from './replicas.ts'

type Status = NonNullable<HorizontalPodAutoscaler['status']>
type Conditions = NonNullable<Status['conditions']>

const periodMs = 15_000
/** A new one, whose pods start at the same time, is looked at again sooner while nothing is known of them. */
const soonMs = 3_000
const youngMs = 60_000
const source = { component: 'horizontal-pod-autoscaler' }
const targets: readonly KindDefinition[] = [
  Deployment,
  StatefulSet,
  ReplicaSet,
  ReplicationController,
] as readonly KindDefinition[]

export function startHorizontalPodAutoscaler(deps: ControllerDeps): AsyncDisposable {
  const { client, informers, clock, recorder } = deps
  const autoscalers = informers.for(HorizontalPodAutoscaler)
  const pods = informers.for(Pod)
  const states = new Map<string, ScalingState>()
  const subscriptions = new DisposableStack()

  const targetOf = ({ spec, metadata }: HorizontalPodAutoscaler) => {
    const { apiVersion = '', kind, name } = spec.scaleTargetRef
    const group = apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : ''
    const found = targets.find((each) => each.kind === kind && each.group === group)
    if (!found?.scale) throw new Error(`no matches for kind "${kind}" in group "${group}"`)
    const key: ObjectKey = { namespace: metadata.namespace ?? '', name }
    const object = informers.for(found).get(key)
    if (!object) throw new Error(`${found.plural}.${found.group || 'v1'} "${name}" not found`)
    return { kind: found, key, object, scale: found.scale }
  }

  const work = async (text: string): Promise<number | void> => {
    const autoscaler = autoscalers.get(parseKey(text))
    if (!autoscaler || autoscaler.metadata.deletionTimestamp) {
      states.delete(text)
      return
    }
    const nowMs = clock.now()
    let conditions: Conditions = autoscaler.status?.conditions ?? []
    const condition = (type: string, status: string, reason: string, message: string) => {
      const before = conditions.find((each) => each.type === type)
      const lastTransitionTime =
        before?.status === status ? before.lastTransitionTime : rfc3339(nowMs)
      const next = {
        type,
        status,
        reason,
        message,
        ...(lastTransitionTime && { lastTransitionTime }),
      }
      conditions = [...conditions.filter((each) => each.type !== type), next].toSorted(byType)
    }
    const tell = (type: 'Normal' | 'Warning', reason: string, message: string) =>
      recorder.event(autoscaler, { type, reason, message }, source)
    const finish = async (status: Partial<Status>): Promise<number> => {
      const { generation } = autoscaler.metadata
      const next: Status = {
        ...autoscaler.status,
        ...(generation !== undefined && { observedGeneration: generation }),
        ...status,
        conditions,
      } as Status
      if (!semanticallyEqual(next, autoscaler.status))
        await client
          .updateStatus(HorizontalPodAutoscaler, { ...autoscaler, status: next })
          .then((written) => autoscalers.wrote(written))
          .catch((error: unknown) => {
            if (!hasReason(error, 'Conflict', 'NotFound')) throw error
          })
      return periodMs
    }

    let target: ReturnType<typeof targetOf>
    try {
      target = targetOf(autoscaler)
    } catch (error) {
      const message = messageOf(error)
      tell('Warning', 'FailedGetScale', message)
      condition(
        'AbleToScale',
        'False',
        'FailedGetScale',
        `the HPA controller was unable to get the target's current scale: ${message}`,
      )
      return await finish({})
    }
    const current = target.scale.replicas(target.object)
    condition(
      'AbleToScale',
      'True',
      'SucceededGetScale',
      "the HPA controller was able to get the target's current scale",
    )
    const { minReplicas = 1, maxReplicas } = autoscaler.spec
    if (current === 0 && minReplicas !== 0) {
      condition(
        'ScalingActive',
        'False',
        'ScalingDisabled',
        'scaling is disabled since the replica count of the target is zero',
      )
      return await finish({ currentReplicas: 0, desiredReplicas: 0 })
    }

    let wish = current
    let reason = ''
    let currentMetrics: Status['currentMetrics']
    if (current > maxReplicas)
      [wish, reason] = [maxReplicas, 'Current number of replicas above Spec.MaxReplicas']
    else if (current < minReplicas)
      [wish, reason] = [minReplicas, 'Current number of replicas below Spec.MinReplicas']
    else {
      const proposals = await propose(
        autoscaler,
        target.scale.selector(target.object),
        current,
        nowMs,
      )
      currentMetrics = proposals.shown
      const { failure } = proposals
      const best = proposals.made.reduce<Proposal | undefined>(
        (most, each) => (most && most.replicas >= each.replicas ? most : each),
        undefined,
      )
      // With something unknown one may go up by what is known, and never down.
      if (!best || (failure && best.replicas <= current)) {
        const why = failure ?? { reason: 'FailedGetResourceMetric', message: 'no metrics' }
        tell('Warning', why.reason, why.message)
        tell(
          'Warning',
          'FailedComputeMetricsReplicas',
          `invalid metrics (${proposals.failed} invalid out of ${autoscaler.spec.metrics?.length ?? 0}), first error is: ${why.message}`,
        )
        condition(
          'ScalingActive',
          'False',
          why.reason,
          `the HPA was unable to compute the replica count: ${why.message}`,
        )
        await finish({
          currentReplicas: current,
          desiredReplicas: autoscaler.status?.desiredReplicas ?? current,
        })
        const madeMs = Date.parse(autoscaler.metadata.creationTimestamp ?? '') || 0
        return nowMs - madeMs < youngMs ? soonMs : periodMs
      }
      condition(
        'ScalingActive',
        'True',
        'ValidMetricFound',
        `the HPA was able to successfully calculate a replica count from ${best.name}`,
      )
      const outcome = decide(
        autoscaler.spec,
        current,
        best.replicas,
        states.get(text) ?? freshState,
        nowMs,
      )
      states.set(text, outcome.state)
      wish = outcome.replicas
      reason = wish > current ? `${best.name} above target` : 'All metrics below target'
      condition('AbleToScale', 'True', outcome.able.reason, outcome.able.message)
      condition(
        'ScalingLimited',
        outcome.limited.status,
        outcome.limited.reason,
        outcome.limited.message,
      )
    }
    let lastScaleTime: string | undefined
    if (wish !== current) {
      try {
        await client.patch(target.kind, target.key, {
          type: 'merge',
          subresource: 'scale',
          body: { spec: { replicas: wish } },
        })
      } catch (error) {
        const message = messageOf(error)
        tell('Warning', 'FailedRescale', `New size: ${wish}; reason: ${reason}; error: ${message}`)
        condition(
          'AbleToScale',
          'False',
          'FailedUpdateScale',
          `the HPA controller was unable to update the target scale: ${message}`,
        )
        return await finish({ currentReplicas: current, desiredReplicas: wish })
      }
      lastScaleTime = rfc3339(nowMs)
      tell('Normal', 'SuccessfulRescale', `New size: ${wish}; reason: ${reason}`)
      condition(
        'AbleToScale',
        'True',
        'SucceededRescale',
        `the HPA controller was able to update the target scale to ${wish}`,
      )
    }
    return await finish({
      currentReplicas: current,
      desiredReplicas: wish,
      ...(currentMetrics && { currentMetrics }),
      ...(lastScaleTime && { lastScaleTime }),
    })
  }

  const propose = async (
    { spec, metadata }: HorizontalPodAutoscaler,
    selector: string,
    current: number,
    nowMs: number,
  ) => {
    const namespace = metadata.namespace ?? ''
    const matches = parseLabelSelector(selector)
    const own = pods.list(namespace).filter(({ metadata: { labels } }) => matches(labels))
    const made: Proposal[] = []
    const shown: NonNullable<Status['currentMetrics']>[number][] = []
    let failure: { readonly reason: string; readonly message: string } | undefined
    let failed = 0
    const metrics = await client
      .list(PodMetrics, namespace, { labelSelector: selector })
      .then(({ items }) => items)
      .catch((error: unknown) => messageOf(error))
    for (const metric of spec.metrics ?? []) {
      try {
        const target = resourceOf(metric)
        if (typeof metrics === 'string')
          throw new Error(`unable to get metrics for resource ${target.name}: ${metrics}`)
        const proposal = proposeReplicas(target, current, own, metrics, nowMs)
        made.push(proposal)
        const { current: now } = proposal
        shown.push(
          metric.containerResource
            ? {
                type: 'ContainerResource',
                containerResource: {
                  container: metric.containerResource.container,
                  name: target.name,
                  current: now,
                },
              }
            : { type: 'Resource', resource: { name: target.name, current: now } },
        )
      } catch (error) {
        failed++
        const name = metric.resource?.name ?? metric.containerResource?.name
        const message = name
          ? `failed to get ${name} ${(metric.resource ?? metric.containerResource)?.target.averageUtilization === undefined ? 'usage' : 'utilization'}: ${messageOf(error)}`
          : messageOf(error)
        failure ??= {
          reason: name ? 'FailedGetResourceMetric' : `FailedGet${metric.type}Metric`,
          message,
        }
        shown.push({ type: '' })
      }
    }
    return { made, shown, failure, failed }
  }

  const queue = startWorker('horizontal-pod-autoscaler', deps, work, () =>
    [...autoscalers.values()].map((each) => keyText(keyOf(each))),
  )
  void informers.synced([HorizontalPodAutoscaler, Pod, ...targets]).then(() => {
    if (subscriptions.disposed) return
    subscriptions.use(
      autoscalers.subscribe((type, object, previous) => {
        // Its own status is nothing to look again for.
        if (type === 'MODIFIED' && previous && semanticallyEqual(previous.spec, object.spec)) return
        queue.add(keyText(keyOf(object)))
      }),
    )
  })
  return {
    async [Symbol.asyncDispose]() {
      subscriptions.dispose()
      await queue[Symbol.asyncDispose]()
    },
  }
}

const order = ['AbleToScale', 'ScalingActive', 'ScalingLimited']
const byType = (a: { readonly type: string }, b: { readonly type: string }) =>
  order.indexOf(a.type) - order.indexOf(b.type)

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error)

function resourceOf({ type, resource, containerResource }: MetricSpec) {
  if (resource) return resource
  if (containerResource) return containerResource
  throw new Error(
    `metrics of type ${type} need custom.metrics.k8s.io or external.metrics.k8s.io, which are not served here: use Resource or ContainerResource`,
  )
}

const parseKey = (text: string): ObjectKey => {
  const slash = text.indexOf('/')
  return { namespace: text.slice(0, Math.max(slash, 0)), name: text.slice(slash + 1) }
}
