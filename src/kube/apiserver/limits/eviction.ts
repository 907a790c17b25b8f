/**
 * Whether a pod may be evicted: PodDisruptionBudgets that select it are asked, and what they grant is noted in their
 * status at once (upstream: pkg/registry/core/pod/storage/eviction.go).
 */
import { rfc3339 } from '../../../lib/clock.ts'
import type { Pod } from '../../api/pod.ts'
import { PodDisruptionBudget } from '../../api/pod-disruption-budget.ts'
import { selectorMatcher } from '../../api/selectors.ts'
import { StatusError } from '../../api/status-error.ts'
import type { Write } from '../../store/store.ts'
import type { Target } from '../machinery.ts'
import { storeKey, storePrefix } from '../registry.ts'

/** Throws TooManyRequests, or InternalError for two budgets of one pod. Answers what was noted. */
export function spendBudget({ machinery, request }: Target, pod: Pod): readonly Write[] {
  const { namespace = '', name, deletionTimestamp } = pod.metadata
  // Who has ended, or is on its way, disrupts nobody by going.
  const phase = pod.status?.phase ?? 'Pending'
  if (phase !== 'Running' || deletionTimestamp) return []
  const budgets = machinery.store
    .list(storePrefix(PodDisruptionBudget, namespace))
    .items.map((each) => each as PodDisruptionBudget)
    .filter(({ spec }) => spec?.selector && selectorMatcher(spec.selector)(pod.metadata.labels))
  const [budget, second] = budgets
  if (!budget) return []
  if (second)
    throw new StatusError(
      'InternalError',
      'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.',
    )
  const { status, spec, metadata } = budget
  const ready = pod.status?.conditions?.some(
    (each) => each.type === 'Ready' && each.status === 'True',
  )
  const { currentHealthy = 0, desiredHealthy = 0, disruptionsAllowed = 0 } = status ?? {}
  if (!ready) {
    if (spec?.unhealthyPodEvictionPolicy === 'AlwaysAllow') return []
    // Nobody is missed who was not counted, as long as enough others are there.
    if (currentHealthy >= desiredHealthy && desiredHealthy > 0) return []
  }
  if ((status?.observedGeneration ?? 0) < (metadata.generation ?? 0))
    throw refused(
      metadata.name,
      `The disruption budget ${metadata.name} is still being processed by the server.`,
      10,
    )
  if (disruptionsAllowed < 1)
    throw refused(
      metadata.name,
      `The disruption budget ${metadata.name} needs ${desiredHealthy} healthy pods and has ${currentHealthy} currently`,
    )
  if (request.options.dryRun) return []
  const spent = {
    ...budget,
    status: {
      ...status,
      disruptionsAllowed: disruptionsAllowed - 1,
      disruptedPods: { ...status?.disruptedPods, [name]: rfc3339(machinery.clock.now()) },
    },
  }
  const key = storeKey(PodDisruptionBudget, { namespace, name: metadata.name })
  return [machinery.store.put(key, spent, Number(metadata.resourceVersion))]
}

/** 429 as upstream says it: the sentence that matters lies in the causes, where kubectl looks for it. */
const refused = (_name: string, message: string, retryAfterSeconds?: number): StatusError =>
  new StatusError(
    'TooManyRequests',
    "Cannot evict pod as it would violate the pod's disruption budget.",
    {
      ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
      causes: [{ reason: 'DisruptionBudget', message }],
    },
  )
