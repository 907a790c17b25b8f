/**
 * Rolls a Deployment out over ReplicaSets, one for each template, as kube-controller-manager's deployment controller
 * does: rolling or recreating, paused, scaled in the middle, with a deadline and a
 * history to go back to. Knative copies its conditions.
 */
import { controllerOf, controllerRef, keyOf, type ObjectKey } from '../../api/meta.ts'
import { Deployment } from '../../api/deployment.ts'
import { Pod } from '../../api/pod.ts'
import { ReplicaSet } from '../../api/replica-set.ts'
import type {
  Apply,
  Delete,
  Patch,
  Plan,
  PlannedEvent,
  Reader,
  Reconciler,
} from '../../controller/reconciler.ts'
import { claim, type Claim } from '../claim.ts'
import { isTerminated } from '../pod-state.ts'
import * as conditionOf from './conditions.ts'
import { find, withCondition, type Conditions } from './conditions.ts'
import {
  annotatedDesired,
  annotatedMax,
  newestAnnotations,
  nextRevision,
  revisionAnnotation,
  revisionOf,
  sizeAnnotations,
} from './revisions.ts'
import { fences, newSize, shrinkOld, spread, type Fences, type Share } from './rolling.ts'
import { deadlineOf, deploymentStatus, hasDeadline, isFinished } from './status.ts'
import { hashLabel, sameTemplate, templateHash } from './template-hash.ts'

interface World {
  readonly deployment: Deployment
  readonly sets: Claim<ReplicaSet>
  /** The name a new ReplicaSet would get, and whether it is taken by something else. */
  readonly newName: string
  readonly nameTaken: boolean
  /** Pods of old templates that have not ended; looked at by strategy Recreate only. */
  readonly oldPodsRun: boolean
}

export const deployment: Reconciler<Deployment, World> = {
  name: 'deployment-controller',
  urgent: true,
  kind: Deployment,
  watches: [
    { kind: ReplicaSet, wake: 'owner' },
    { kind: Pod, wake: recreateWakes },
  ],

  observe(deployment, read) {
    const sets = claim(ReplicaSet, deployment, deployment.spec.selector, read)
    const hash = templateHash(deployment.spec.template, deployment.status?.collisionCount)
    const newName = `${deployment.metadata.name}-${hash}`
    const namespace = deployment.metadata.namespace ?? ''
    const named = read.get(ReplicaSet, { namespace, name: newName })
    return {
      deployment,
      sets,
      newName,
      nameTaken: named !== undefined && !sets.children.includes(named),
      oldPodsRun: isRecreate(deployment) && oldPodsRun(deployment, sets.children, read),
    }
  },

  plan(world, nowMs): Plan {
    const rollout = new Rollout(world, nowMs)
    return rollout.plan()
  },
}

const isRecreate = ({ spec }: Deployment) => spec.strategy?.type === 'Recreate'

/** Only strategy Recreate waits for pods to be gone. */
function* recreateWakes(pod: { metadata: Pod['metadata'] }, read: Reader): Iterable<ObjectKey> {
  const namespace = pod.metadata.namespace ?? ''
  const owner = pod.metadata.ownerReferences?.find(({ controller }) => controller)
  if (owner?.kind !== 'ReplicaSet') return
  const set = read.get(ReplicaSet, { namespace, name: owner.name })
  const ref = set && controllerOf(set)
  const deployment = ref && read.get(Deployment, { namespace, name: ref.name })
  if (deployment && isRecreate(deployment)) yield keyOf(deployment)
}

function oldPodsRun(deployment: Deployment, sets: readonly ReplicaSet[], read: Reader): boolean {
  return sets
    .filter((set) => !sameTemplate(set.spec.template, deployment.spec.template))
    .some((set) => read.owned(Pod, set).some((pod) => !isTerminated(pod)))
}

/** One look at a Deployment: gathers what is to be done, keeping `newest` and `old` as they will be afterwards. */
class Rollout {
  readonly #world: World
  readonly #deployment: Deployment
  readonly #nowMs: number
  readonly #replicas: number
  readonly #fences: Fences
  readonly #apply: Apply[] = []
  readonly #patch: Patch[]
  readonly #delete: Delete[] = []
  readonly #events: PlannedEvent[] = []
  #newest: ReplicaSet | undefined
  #old: ReplicaSet[]
  #conditions: Conditions
  #collided = false

  constructor(world: World, nowMs: number) {
    this.#world = world
    this.#nowMs = nowMs
    this.#patch = [...world.sets.patches]
    const { deployment, sets } = world
    this.#deployment = deployment
    this.#replicas = deployment.spec.replicas ?? 1
    const { maxSurge, maxUnavailable } = deployment.spec.strategy?.rollingUpdate ?? {}
    this.#fences = isRecreate(deployment)
      ? { maxSurge: 0, maxUnavailable: 0 }
      : fences(this.#replicas, maxSurge, maxUnavailable)
    this.#conditions = deployment.status?.conditions ?? []
    const oldestFirst = sets.children
      .filter(({ metadata }) => !metadata.deletionTimestamp)
      .toSorted(
        (a, b) => createdMs(a) - createdMs(b) || (a.metadata.name < b.metadata.name ? -1 : 1),
      )
    this.#newest = oldestFirst.find((set) =>
      sameTemplate(set.spec.template, deployment.spec.template),
    )
    this.#old = oldestFirst.filter((set) => set !== this.#newest)
  }

  plan(): Plan {
    const { spec, metadata } = this.#deployment
    this.#notePause()
    const scaling = [...this.#old, ...(this.#newest ? [this.#newest] : [])].some(
      (set) =>
        (set.spec.replicas ?? 1) > 0 &&
        annotatedDesired(set) !== undefined &&
        annotatedDesired(set) !== this.#replicas,
    )
    const judgeProgress = !spec.paused && !scaling
    if (spec.paused || scaling) {
      if (!spec.paused) this.#adoptNewest(false)
      this.#scale()
      if (spec.paused) this.#tidy()
    } else if (isRecreate(this.#deployment)) this.#recreate()
    else this.#roll()

    const status = deploymentStatus({
      deployment: this.#deployment,
      newest: this.#newest,
      old: this.#old,
      conditions: this.#conditions,
      maxUnavailable: this.#fences.maxUnavailable,
      judgeProgress,
      nowMs: this.#nowMs,
    })
    if (!spec.paused && isFinished(this.#deployment, status)) this.#tidy()
    const revision = this.#newest?.metadata.annotations?.[revisionAnnotation]
    if (revision && metadata.annotations?.[revisionAnnotation] !== revision)
      this.#patch.push({
        kind: Deployment,
        key: keyOf(this.#deployment),
        // Through the status, where annotations do not count as a change of what is desired.
        subresource: 'status',
        body: { metadata: { annotations: { [revisionAnnotation]: revision } } },
      })
    const deadlineMs = spec.paused
      ? undefined
      : deadlineOf(this.#deployment, status.conditions ?? [])
    return {
      apply: this.#apply,
      patch: this.#patch,
      delete: this.#delete,
      status: this.#collided
        ? { ...status, collisionCount: (status.collisionCount ?? 0) + 1 }
        : status,
      // That a name was taken, or a ReplicaSet was made just now, can't be seen any more in the next round.
      statusCanWait: !this.#collided && this.#apply.length === 0,
      statusOnFailure: ({ message }) =>
        this.#apply.length > 0 && hasDeadline(this.#deployment)
          ? {
              ...status,
              conditions: withCondition(
                status.conditions ?? [],
                conditionOf.createFailed(message),
                this.#nowMs,
              ),
            }
          : status,
      events: this.#events,
      // The deadline is exceeded after its second has passed: times are whole seconds.
      ...(deadlineMs !== undefined && {
        requeueAfterMs: Math.max(deadlineMs - this.#nowMs, 0) + 1_000,
      }),
    }
  }

  #notePause(): void {
    if (!hasDeadline(this.#deployment)) return
    const current = find(this.#conditions, 'Progressing')
    if (current?.reason === 'ProgressDeadlineExceeded') return
    const isPaused = current?.reason === 'DeploymentPaused'
    if (this.#deployment.spec.paused && !isPaused) this.#condition(conditionOf.paused)
    else if (!this.#deployment.spec.paused && isPaused) this.#condition(conditionOf.resumed)
  }

  #condition(outcome: conditionOf.Outcome): void {
    this.#conditions = withCondition(this.#conditions, outcome, this.#nowMs)
  }

  #roll(): void {
    this.#adoptNewest(true)
    const newest = this.#newest
    if (!newest) return
    const before = newest.spec.replicas ?? 1
    const size = newSize(before, this.#old.map(shareOf), this.#replicas, this.#fences)
    // A ReplicaSet that is being made has its size already.
    if (size !== before && this.#apply.length === 0) return this.#resize(newest, size)
    const sizes = shrinkOld(this.#old.map(shareOf), shareOf(newest), this.#replicas, this.#fences)
    for (const set of this.#old) {
      const fewer = sizes.get(set.metadata.name)
      if (fewer !== undefined) this.#resize(set, fewer)
    }
  }

  #recreate(): void {
    this.#adoptNewest(false)
    const running = this.#old.filter((set) => (set.spec.replicas ?? 1) > 0)
    for (const set of running) this.#resize(set, 0)
    if (running.length > 0 || this.#world.oldPodsRun) return
    if (!this.#newest) this.#adoptNewest(true)
    else this.#resize(this.#newest, this.#replicas)
  }

  /** Follows a change of `replicas` in the middle of whatever is going on. */
  #scale(): void {
    const all = [...this.#old, ...(this.#newest ? [this.#newest] : [])]
    const active = all.filter((set) => (set.spec.replicas ?? 1) > 0)
    const newest = this.#newest
    if (active.length <= 1) {
      const only = active[0] ?? newest ?? this.#old.at(-1)
      if (only) this.#resize(only, this.#replicas)
      return
    }
    const saturated =
      newest &&
      newest.spec.replicas === this.#replicas &&
      annotatedDesired(newest) === this.#replicas &&
      newest.status?.availableReplicas === this.#replicas
    if (saturated) {
      for (const set of this.#old) this.#resize(set, 0)
    } else if (!isRecreate(this.#deployment)) {
      const sizes = spread(active.map(shareOf), this.#replicas, this.#fences)
      for (const set of active) this.#resize(set, sizes.get(set.metadata.name) ?? 0)
    }
  }

  /** Brings the newest ReplicaSet's annotations up to date, or makes it when `make`. */
  #adoptNewest(make: boolean): void {
    const revision = nextRevision(this.#old)
    const newest = this.#newest
    if (!newest) {
      if (make) this.#create(revision)
      return
    }
    if (!find(this.#conditions, 'Progressing') && hasDeadline(this.#deployment))
      this.#condition(conditionOf.foundNew(newest.metadata.name))
    const annotations = newestAnnotations(this.#deployment, newest, revision)
    const { minReadySeconds } = this.#deployment.spec
    const changes: ReplicaSet = {
      ...newest,
      metadata: {
        ...newest.metadata,
        annotations: { ...newest.metadata.annotations, ...annotations },
      },
      spec: { ...newest.spec, ...(minReadySeconds !== undefined && { minReadySeconds }) },
    }
    this.#newest = changes
    this.#patch.push({
      kind: ReplicaSet,
      key: keyOf(newest),
      body: {
        metadata: { annotations },
        ...(minReadySeconds !== undefined && { spec: { minReadySeconds } }),
      },
    })
  }

  #create(revision: number): void {
    const { newName, nameTaken } = this.#world
    if (nameTaken) {
      this.#collided = true
      return
    }
    const { metadata, spec } = this.#deployment
    const hash = newName.slice(metadata.name.length + 1)
    const labels = { ...spec.template?.metadata?.labels, [hashLabel]: hash }
    const size = newSize(0, this.#old.map(shareOf), this.#replicas, this.#fences)
    const made: ReplicaSet = {
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      metadata: {
        name: newName,
        ...(metadata.namespace && { namespace: metadata.namespace }),
        labels,
        annotations: {
          ...newestAnnotations(this.#deployment, undefined, revision),
          ...sizeAnnotations(this.#replicas, this.#fences.maxSurge),
        },
        ownerReferences: [controllerRef(this.#deployment)],
      },
      spec: {
        replicas: size,
        ...(spec.minReadySeconds !== undefined && { minReadySeconds: spec.minReadySeconds }),
        selector: {
          ...spec.selector,
          matchLabels: { ...spec.selector?.matchLabels, [hashLabel]: hash },
        },
        template: {
          ...spec.template,
          metadata: { ...spec.template?.metadata, labels },
        },
      },
    }
    this.#newest = made
    this.#apply.push({
      kind: ReplicaSet,
      desired: made,
      merge: (existing) => existing,
      ...(size > 0 && { created: scaled('up', newName, 0, size) }),
    })
    if (hasDeadline(this.#deployment)) this.#condition(conditionOf.created(newName))
  }

  #resize(set: ReplicaSet, size: number): void {
    const before = set.spec.replicas ?? 1
    const annotations = sizeAnnotations(this.#replicas, this.#fences.maxSurge)
    const { name } = set.metadata
    this.#patch.push({
      kind: ReplicaSet,
      key: keyOf(set),
      body: { metadata: { annotations }, spec: { replicas: size } },
    })
    if (before !== size)
      this.#events.push(scaled(size > before ? 'up' : 'down', name, before, size))
    const after = { ...set, spec: { ...set.spec, replicas: size } }
    if (set === this.#newest) this.#newest = after
    else this.#old = this.#old.map((other) => (other === set ? after : other))
  }

  /** Forgets old ReplicaSets beyond the history limit; those that still have pods stay. */
  #tidy(): void {
    const limit = this.#deployment.spec.revisionHistoryLimit ?? 10
    const empty = this.#old.filter(
      ({ spec, status, metadata }) =>
        spec.replicas === 0 &&
        (status?.replicas ?? 0) === 0 &&
        (metadata.generation ?? 0) <= (status?.observedGeneration ?? 0),
    )
    const oldestFirst = empty.toSorted((a, b) => revisionOf(a) - revisionOf(b))
    for (const set of oldestFirst.slice(0, Math.max(0, empty.length - limit)))
      this.#delete.push({
        kind: ReplicaSet,
        key: keyOf(set),
        ...(set.metadata.uid && { uid: set.metadata.uid }),
      })
  }
}

const createdMs = ({ metadata }: ReplicaSet) => Date.parse(metadata.creationTimestamp ?? '') || 0

const shareOf = (set: ReplicaSet): Share => ({
  name: set.metadata.name,
  replicas: set.spec.replicas ?? 1,
  available: set.status?.availableReplicas ?? 0,
  createdMs: createdMs(set),
  annotatedMax: annotatedMax(set),
})

const scaled = (way: 'up' | 'down', name: string, from: number, to: number): PlannedEvent => ({
  type: 'Normal',
  reason: 'ScalingReplicaSet',
  message: `Scaled ${way} replica set ${name} from ${from} to ${to}`,
})
