/**
 * Binds pods to the node that has room for them: kube-scheduler for a machine of one node (or few), with its texts.
 * What is free is kept as running totals, so a pod costs the same whatever number of
 * pods there is.
 */
import { rfc3339 } from '../../lib/clock.ts'
import { keyOf, keyText, type ObjectKey } from '../api/meta.ts'
import { Node } from '../api/node.ts'
import { Pod } from '../api/pod.ts'
import { hasReason } from '../api/status-error.ts'
import type { TypedClient } from '../client/typed-client.ts'
import type { ControllerDeps } from '../controller/loop.ts'
import { isTerminated } from './pod-state.ts'
import { quantity } from './quantity.ts'
import { startWorker } from './worker.ts'

const schedulerName = 'default-scheduler'

/** Resource name -> amount; `pods` counts pods. */
type Amounts = ReadonlyMap<string, number>

interface Taken {
  readonly node: string
  readonly amounts: Amounts
}

export function startScheduler(
  deps: ControllerDeps & { readonly client: TypedClient },
): AsyncDisposable {
  const { client, informers, clock, recorder } = deps
  const pods = informers.for(Pod)
  const nodes = informers.for(Node)
  /** node -> resource -> amount requested by its pods */
  const used = new Map<string, Map<string, number>>()
  /** pod uid -> what it takes, until it ends */
  const taken = new Map<string, Taken>()
  /** Pods that found no room; they are looked at again when some may have become free. */
  const unschedulable = new Set<string>()
  const disposables = new DisposableStack()

  const count = ({ node, amounts }: Taken, sign: 1 | -1) => {
    let totals = used.get(node)
    if (!totals) used.set(node, (totals = new Map()))
    for (const [resource, amount] of amounts)
      totals.set(resource, (totals.get(resource) ?? 0) + sign * amount)
  }

  /** Takes the pod into account as being on `node`; '' = on none any more. */
  const account = (pod: Pod, node: string) => {
    const uid = pod.metadata.uid ?? ''
    const before = taken.get(uid)
    if ((before?.node ?? '') === node) return
    if (before) {
      count(before, -1)
      taken.delete(uid)
      for (const key of unschedulable) queue.add(key)
    }
    if (!node) return
    const now = { node, amounts: requestsOf(pod) }
    count(now, 1)
    taken.set(uid, now)
  }

  const work = async (text: string): Promise<number | undefined> => {
    const slash = text.indexOf('/')
    const key: ObjectKey = { namespace: text.slice(0, slash), name: text.slice(slash + 1) }
    const pod = pods.get(key)
    if (!pod || !waits(pod)) return void unschedulable.delete(text)
    if (pod.spec.schedulingGates?.length) {
      await refuse(
        pod,
        'SchedulingGated',
        'Scheduling is blocked due to non-empty scheduling gates',
      )
      return undefined
    }
    const requests = requestsOf(pod)
    const reasons: string[] = []
    for (const node of nodes.values()) {
      const why = obstacle(pod, requests, node, used.get(node.metadata.name))
      if (why === undefined) return bind(pod, node)
      reasons.push(why)
    }
    unschedulable.add(text)
    const message = unfit(reasons)
    if (await refuse(pod, 'Unschedulable', message))
      recorder.event(
        pod,
        { type: 'Warning', reason: 'FailedScheduling', message },
        { component: schedulerName },
      )
    return undefined
  }

  const bind = async (pod: Pod, node: Node): Promise<undefined> => {
    const { name } = node.metadata
    // Counted before it is written, so that pods that are bound at the same time do not take the same room.
    account(pod, name)
    const { metadata } = pod
    try {
      await client.subresource('create', Pod, keyOf(pod), 'binding', {
        apiVersion: 'v1',
        kind: 'Binding',
        metadata: {
          name: metadata.name,
          ...(metadata.namespace && { namespace: metadata.namespace }),
          ...(metadata.uid && { uid: metadata.uid }),
        },
        target: { apiVersion: 'v1', kind: 'Node', name },
      })
    } catch (error) {
      account(pod, pods.get(keyOf(pod))?.spec.nodeName ?? '')
      if (hasReason(error, 'NotFound')) return undefined
      throw error
    }
    unschedulable.delete(keyText(keyOf(pod)))
    recorder.event(
      pod,
      {
        type: 'Normal',
        reason: 'Scheduled',
        message: `Successfully assigned ${keyText(keyOf(pod))} to ${name}`,
      },
      { component: schedulerName },
    )
    return undefined
  }

  /** Writes condition PodScheduled False, once; answers whether it is news. */
  const refuse = async (pod: Pod, reason: string, message: string): Promise<boolean> => {
    const conditions = pod.status?.conditions ?? []
    const before = conditions.find(({ type }) => type === 'PodScheduled')
    if (before?.status === 'False' && before.reason === reason && before.message === message)
      return false
    const condition = {
      type: 'PodScheduled',
      status: 'False',
      reason,
      message,
      lastTransitionTime:
        (before?.status === 'False' && before.lastTransitionTime) || rfc3339(clock.now()),
    }
    const others = conditions.filter(({ type }) => type !== 'PodScheduled')
    const status = { ...pod.status, phase: 'Pending', conditions: [...others, condition] }
    pods.wrote(await client.updateStatus<Pod>(Pod, { ...pod, status }))
    return true
  }

  const queue = startWorker(schedulerName, deps, work, () => unschedulable)

  void informers.synced([Pod, Node]).then(() => {
    if (disposables.disposed) return
    disposables.use(
      pods.subscribe((type, pod) => {
        const gone = type === 'DELETED' || isTerminated(pod)
        if (gone || pod.spec.nodeName) account(pod, gone ? '' : (pod.spec.nodeName ?? ''))
        const key = keyText(keyOf(pod))
        if (type === 'DELETED') unschedulable.delete(key)
        else if (waits(pod)) queue.add(key, true)
      }),
    )
    disposables.use(
      nodes.subscribe((_type, node, previous) => {
        if (previous && !roomChanged(previous, node)) return
        for (const pod of unschedulable) queue.add(pod)
      }),
    )
  })

  return {
    async [Symbol.asyncDispose]() {
      disposables.dispose()
      await queue[Symbol.asyncDispose]()
    },
  }
}

const waits = (pod: Pod): boolean =>
  !pod.spec.nodeName &&
  !pod.metadata.deletionTimestamp &&
  !isTerminated(pod) &&
  (pod.spec.schedulerName ?? schedulerName) === schedulerName

/** Heartbeats change a node's conditions all the time; only what lets a pod in matters here. */
const roomChanged = (a: Node, b: Node): boolean =>
  JSON.stringify([a.status?.allocatable, a.spec, a.metadata.labels]) !==
  JSON.stringify([b.status?.allocatable, b.spec, b.metadata.labels])

/** What a pod asks for: the sum of its containers, or its largest init container if that is more. */
export function requestsOf({ spec }: Pod): Amounts {
  const sum = new Map<string, number>([['pods', 1]])
  const largest = new Map<string, number>()
  for (const { resources } of spec.containers)
    for (const [name, amount] of Object.entries(resources?.requests ?? {}))
      sum.set(name, (sum.get(name) ?? 0) + quantity(amount))
  for (const { resources, restartPolicy } of spec.initContainers ?? [])
    for (const [name, amount] of Object.entries(resources?.requests ?? {}))
      if (restartPolicy === 'Always') sum.set(name, (sum.get(name) ?? 0) + quantity(amount))
      else largest.set(name, Math.max(largest.get(name) ?? 0, quantity(amount)))
  for (const [name, amount] of largest) sum.set(name, Math.max(sum.get(name) ?? 0, amount))
  return sum
}

/** Why the pod can't go to the node, in the scheduler's words; undefined when it can. */
function obstacle(
  pod: Pod,
  requests: Amounts,
  node: Node,
  used: Amounts = new Map(),
): string | undefined {
  if (node.spec?.unschedulable) return 'node(s) were unschedulable'
  for (const [label, value] of Object.entries(pod.spec.nodeSelector ?? {}))
    if (node.metadata.labels?.[label] !== value)
      return "node(s) didn't match Pod's node affinity/selector"
  for (const [resource, wanted] of requests) {
    const room = node.status?.allocatable?.[resource]
    // A node that has not said yet how much it has takes what comes.
    if (room === undefined && node.status?.allocatable === undefined) continue
    const free = quantity(room) - (used.get(resource) ?? 0)
    // Sums of fractions are off by a hair; a millionth of a core is nobody's.
    if (wanted > 0 && wanted > free + 1e-6)
      return resource === 'pods' ? 'Too many pods' : `Insufficient ${resource}`
  }
  return undefined
}

function unfit(reasons: readonly string[]): string {
  const counts = Map.groupBy(reasons, (reason) => reason)
  const parts = [...counts].map(([reason, all]) => `${all.length} ${reason}`).toSorted()
  const available = `0/${reasons.length} nodes are available`
  if (reasons.length === 0) return 'no nodes available to schedule pods'
  return (
    `${available}: ${parts.join(', ')}. preemption: ${available}: ` +
    `${reasons.length} No preemption victims found for incoming pod.`
  )
}
