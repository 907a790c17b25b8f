/**
 * One pod of a DaemonSet on each node that suits it (upstream: pkg/controller/daemon). The node is
 * written into the pod at once: no scheduler decides about it, and a cordoned node keeps its pods.
 */
import { ControllerRevision } from '../../api/controller-revision.ts'
import { DaemonSet } from '../../api/daemon-set.ts'
import { controllerRef, keyOf } from '../../api/meta.ts'
import { Node } from '../../api/node.ts'
import { Pod } from '../../api/pod.ts'
import { randomName, type Random } from '../../../lib/random.ts'
import type {
  Apply,
  Delete,
  Plan,
  PlannedEvent,
  Reader,
  Reconciler,
} from '../../controller/reconciler.ts'
import { claim, type Claim } from '../claim.ts'
import { forgotten, hashOf, historyOf, revisionHashLabel } from '../history.ts'
import { isReady, isTerminated, readyForMs } from '../pod-state.ts'

interface World {
  readonly set: DaemonSet
  readonly pods: Claim<Pod>
  readonly revisions: readonly ControllerRevision[]
  readonly nodes: readonly Node[]
  /** An end of a name for each node: chance is drawn here, so that the plan is pure. */
  readonly suffixes: readonly string[]
}

const generation = 'pod-template-generation'

export const daemonSet = (random: Random): Reconciler<DaemonSet, World> => ({
  name: 'daemonset-controller',
  kind: DaemonSet,
  watches: [
    { kind: Pod, wake: 'owner' },
    { kind: ControllerRevision, wake: 'owner' },
    { kind: Node, wake: newNodes() },
  ],
  observe(set, read) {
    const nodes = read.list(Node, '')
    return {
      set,
      nodes,
      pods: claim(Pod, set, set.spec.selector, read),
      revisions: read.owned(ControllerRevision, set),
      suffixes: nodes.map(() => randomName(random)),
    }
  },
  plan,
})

/** Nodes say every few seconds that they live; only what decides about suitability matters here. */
function newNodes() {
  const known = new Map<string, string>()
  return (changed: { metadata: Node['metadata'] }, read: Reader) => {
    const now = JSON.stringify([changed.metadata.labels, changed.metadata.uid])
    if (known.get(changed.metadata.name) === now) return []
    known.set(changed.metadata.name, now)
    return read.list(DaemonSet, '').map(keyOf)
  }
}

function plan({ set, pods, revisions, nodes, suffixes }: World, nowMs: number): Plan {
  const { spec, metadata } = set
  const history = historyOf(set, revisions)
  const hash = hashOf(set, history.update)
  const minReadyMs = (spec.minReadySeconds ?? 0) * 1_000
  const isAvailable = (pod: Pod) => (readyForMs(pod, nowMs) ?? -1) >= minReadyMs
  const isUpdated = (pod: Pod) => pod.metadata.labels?.[revisionHashLabel] === hash

  const apply: Apply[] = [...history.apply]
  const deleted: Delete[] = []
  const events: PlannedEvent[] = []
  const remove = (pod: Pod) => {
    deleted.push({ kind: Pod, key: keyOf(pod), ...(pod.metadata.uid && { uid: pod.metadata.uid }) })
    const message = `Deleted pod: ${pod.metadata.name}`
    events.push({ type: 'Normal', reason: 'SuccessfulDelete', message })
  }
  const wanted = nodes.filter((node) => suits(node, set))
  const maxUnavailable = amount(
    spec.updateStrategy?.rollingUpdate?.maxUnavailable ?? 1,
    wanted.length,
  )
  const rolls = spec.updateStrategy?.type !== 'OnDelete'
  const live = pods.children.filter(({ metadata: { deletionTimestamp } }) => !deletionTimestamp)
  let unavailable = 0
  const kept: Pod[] = []
  const old: Pod[] = []
  for (const [i, node] of wanted.entries()) {
    const here = live.filter((pod) => pod.spec.nodeName === node.metadata.name)
    const ended = here.filter(isTerminated)
    for (const pod of ended) {
      remove(pod)
      const message = `Found failed daemon pod ${metadata.namespace ?? ''}/${pod.metadata.name} on node ${node.metadata.name}, will try to kill it`
      events.push({ type: 'Warning', reason: 'FailedDaemonPod', message })
    }
    const [first, ...more] = here.filter((pod) => !isTerminated(pod))
    for (const pod of more) remove(pod)
    const leaving = pods.children.some(
      (pod) => pod.spec.nodeName === node.metadata.name && pod.metadata.deletionTimestamp,
    )
    if (first) {
      kept.push(first)
      if (!isAvailable(first)) unavailable++
      if (!isUpdated(first)) old.push(first)
    } else {
      unavailable++
      if (!leaving && ended.length === 0)
        apply.push(newPod(set, node.metadata.name, hash, suffixes[i] ?? ''))
    }
  }
  for (const pod of live)
    if (!wanted.some((node) => node.metadata.name === pod.spec.nodeName)) remove(pod)
  // Pods that are not available anyway cost nothing to replace.
  const replaced = rolls
    ? old.filter((pod) => !isAvailable(pod) || unavailable++ < maxUnavailable)
    : []
  for (const pod of replaced) remove(pod)
  const after = kept.filter((pod) => !replaced.includes(pod))
  const count = (test: (pod: Pod) => boolean) => after.filter(test).length
  const made = apply.length - history.apply.length
  const available = count(isAvailable)
  const waits = after
    .filter((pod) => isReady(pod) && !isAvailable(pod))
    .map((pod) => minReadyMs - (readyForMs(pod, nowMs) ?? 0))
  return {
    apply,
    patch: [...pods.patches, ...history.patch],
    delete: [...deleted, ...forgotten(set, revisions, inUse(set, history.update, after))],
    status: {
      currentNumberScheduled: after.length + made,
      numberMisscheduled: 0,
      desiredNumberScheduled: wanted.length,
      numberReady: count(isReady),
      ...(metadata.generation !== undefined && { observedGeneration: metadata.generation }),
      ...(count(isUpdated) + made > 0 && { updatedNumberScheduled: count(isUpdated) + made }),
      ...(available > 0 && { numberAvailable: available }),
      ...(wanted.length > available && { numberUnavailable: wanted.length - available }),
    },
    events,
    ...(waits.length > 0 && { requeueAfterMs: Math.min(...waits) }),
  }
}

const inUse = (set: DaemonSet, update: string, pods: readonly Pod[]): ReadonlySet<string> =>
  new Set([
    update,
    ...pods.map((pod) => `${set.metadata.name}-${pod.metadata.labels?.[revisionHashLabel] ?? ''}`),
  ])

const suits = ({ metadata: { labels = {} } }: Node, { spec }: DaemonSet): boolean =>
  Object.entries(spec.template?.spec?.nodeSelector ?? {}).every(
    ([key, value]) => labels[key] === value,
  )

/** A number, or a percentage of the nodes, rounded up. */
const amount = (value: number | string, nodes: number): number =>
  typeof value === 'number' ? value : Math.ceil((Number.parseInt(value, 10) * nodes) / 100)

const tolerations = [
  'not-ready',
  'unreachable',
  'disk-pressure',
  'memory-pressure',
  'pid-pressure',
  'unschedulable',
].map((name, i) => ({
  key: `node.kubernetes.io/${name}`,
  operator: 'Exists',
  effect: i < 2 ? 'NoExecute' : 'NoSchedule',
}))

function newPod(set: DaemonSet, nodeName: string, hash: string, suffix: string): Apply {
  const { metadata: template = {}, spec } = set.spec.template ?? {}
  const name = `${`${set.metadata.name}-`.slice(0, 58)}${suffix}`
  const pod: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      generateName: `${set.metadata.name}-`,
      ...(set.metadata.namespace && { namespace: set.metadata.namespace }),
      labels: {
        ...template.labels,
        [revisionHashLabel]: hash,
        [generation]: String(set.metadata.generation ?? 1),
      },
      ...(template.annotations && { annotations: template.annotations }),
      ownerReferences: [controllerRef(set)],
    },
    spec: {
      ...(spec ?? { containers: [] }),
      nodeName,
      tolerations: [...(spec?.tolerations ?? []), ...tolerations],
    },
  }
  return {
    kind: Pod,
    desired: pod,
    merge: (existing) => existing,
    created: { type: 'Normal', reason: 'SuccessfulCreate', message: `Created pod: ${name}` },
    createFailed: { type: 'Warning', reason: 'FailedCreate', message: 'Error creating: ' },
  }
}
