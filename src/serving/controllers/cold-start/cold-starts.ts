/**
 * Keeps the waterfalls of cold requests as ColdStart objects: listens to the gateway, the caches and the node agent, and
 * writes a moment after the answer, so that what is measured is not slowed down by being written.
 */
import { Deployment } from '../../../kube/api/deployment.ts'
import { Endpoints } from '../../../kube/api/endpoints.ts'
import { apiVersionOf } from '../../../kube/api/kind.ts'
import { keyText, type KubeObject, type ObjectKey } from '../../../kube/api/meta.ts'
import { Pod } from '../../../kube/api/pod.ts'
import { hasReason } from '../../../kube/api/status-error.ts'
import type { ControllerDeps } from '../../../kube/controller/loop.ts'
import { randomName } from '../../../lib/random.ts'
import { ColdStart, type ColdStartSpec } from '../../api/cold-start.ts'
import { label } from '../../api/names.ts'
import { Revision } from '../../api/revision.ts'
import type { ColdRequest } from '../../gateway/feed.ts'
import { createWaterfall, type PodStep } from './waterfall.ts'

export interface ColdStarts extends AsyncDisposable {
  /** The gateway asked for a revision to be woken. */
  woken(revision: ObjectKey): void
  /** The autoscaler has decided about it. */
  decided(revision: ObjectKey): void
  /** The node agent has done something for a pod. */
  podStep(pod: Pod, step: PodStep, atMs: number): void
  /** The gateway's report of a request that had to wait. */
  answered(request: ColdRequest): void
}

/** Kept of one Revision, and in all. */
const keptOfRevision = 20
const keptInAll = 1_000
/** Of the requests that waited for one and the same pod, this many are kept. */
const keptOfPod = 5
/** Waiting to be written; more are dropped. */
const capacity = 1_000
const writeAfterMs = 500

interface Waiting {
  readonly key: ObjectKey
  readonly spec: ColdStartSpec
}

export function startColdStarts(deps: ControllerDeps): ColdStarts {
  const { client, informers, clock, random, log } = deps
  const waterfall = createWaterfall()
  const kept = informers.for(ColdStart)
  const ofPod = new Map<string, number>()
  const subscriptions = new DisposableStack()
  let waiting: Waiting[] = []
  let writing: Promise<void> | undefined
  let cancel = () => {}
  let unknown = false

  const revisionOf = ({ metadata }: KubeObject): string | undefined => {
    const name = metadata.labels?.[label.revision]
    return name === undefined ? undefined : `${metadata.namespace ?? ''}/${name}`
  }

  subscriptions.use(
    informers.for(Pod).subscribe((type, pod, previous) => {
      const { uid, name } = pod.metadata
      if (type === 'DELETED' || !uid || revisionOf(pod) === undefined) return
      // Those found at the start of the control plane were created long ago.
      const isNew = !previous && pod.status?.startTime === undefined
      if (isNew) waterfall.pod(uid, name, 'created', clock.monotonic())
      else if (previous && isReady(pod) && !isReady(previous))
        waterfall.pod(uid, name, 'ready', clock.monotonic())
    }),
  )
  subscriptions.use(
    informers.for(Deployment).subscribe((_type, deployment, previous) => {
      const revision = revisionOf(deployment)
      if (revision && previous?.spec.replicas === 0 && deployment.spec.replicas !== 0)
        waterfall.revision(revision, 'scaled', clock.monotonic())
    }),
  )
  subscriptions.use(
    informers.for(Endpoints).subscribe((_type, endpoints) => {
      const revision = revisionOf(endpoints)
      const isPrivate = endpoints.metadata.labels?.[label.serviceType] === 'Private'
      if (revision && isPrivate && endpoints.subsets?.some(({ addresses }) => addresses?.length))
        waterfall.revision(revision, 'endpoints', clock.monotonic())
    }),
  )

  /** Requests beyond the first few of a pod tell nothing new. */
  const tellsNothing = (uid: string): boolean => {
    const count = (ofPod.get(uid) ?? 0) + 1
    ofPod.delete(uid)
    ofPod.set(uid, count)
    if (ofPod.size > capacity) for (const oldest of ofPod.keys()) return ofPod.delete(oldest)
    return count > keptOfPod
  }

  const write = async (): Promise<void> => {
    const batch = waiting
    waiting = []
    for (const { key, spec } of batch) {
      const revision = informers.for(Revision).get(key)
      if (!revision || unknown) continue
      try {
        kept.wrote(await client.create(ColdStart, objectOf(revision, randomName(random), spec)))
        for (const surplus of surplusOf(key)) {
          await client.delete(ColdStart, surplus)
          const gone = kept.get(surplus)
          if (gone) kept.deleted(gone, clock.now())
        }
      } catch (error) {
        // Beside somebody else's API server, which has no such kind.
        if (hasReason(error, 'NotFound')) unknown = kept.size === 0
        else log.info('a cold start could not be kept', { revision: keyText(key), error })
      }
    }
  }

  /** What is too much since one more was written. */
  function surplusOf(revision: ObjectKey): readonly ObjectKey[] {
    const own = kept
      .list(revision.namespace, { [label.revision]: revision.name })
      .filter(({ metadata }) => !metadata.deletionTimestamp)
    const all = kept.size > keptInAll ? [...kept.values()] : []
    return [
      ...oldest(own, own.length - keptOfRevision),
      ...oldest(all, all.length - keptInAll),
    ].map(({ metadata }) => ({ namespace: metadata.namespace ?? '', name: metadata.name }))
  }

  return {
    woken: (revision) => waterfall.revision(keyText(revision), 'wake', clock.monotonic()),
    decided: (revision) => waterfall.revision(keyText(revision), 'decision', clock.monotonic()),
    podStep(pod, step, atMs) {
      const { uid, name } = pod.metadata
      if (uid && revisionOf(pod) !== undefined) waterfall.pod(uid, name, step, atMs)
    },
    answered(request) {
      if (unknown || waiting.length >= capacity || tellsNothing(request.pod)) return
      const [namespace = '', name = ''] = request.revision.split('/')
      const spec = waterfall.join(request, clock.monotonic(), clock.now())
      waiting.push({ key: { namespace, name }, spec })
      if (waiting.length > 1) return
      cancel = clock.after(writeAfterMs, () => {
        writing = (writing ?? Promise.resolve()).then(write)
      })
    },
    async [Symbol.asyncDispose]() {
      cancel()
      subscriptions.dispose()
      await writing
    },
  }
}

const objectOf = ({ metadata }: Revision, suffix: string, spec: ColdStartSpec): ColdStart => ({
  apiVersion: apiVersionOf(ColdStart),
  kind: ColdStart.kind,
  metadata: {
    name: `${metadata.name.slice(0, 57)}-${suffix}`,
    ...(metadata.namespace && { namespace: metadata.namespace }),
    labels: { [label.revision]: metadata.name },
    ownerReferences: [
      {
        apiVersion: 'serving.knative.dev/v1',
        kind: 'Revision',
        name: metadata.name,
        uid: metadata.uid ?? '',
      },
    ],
  },
  spec,
})

const oldest = (all: readonly ColdStart[], count: number): readonly ColdStart[] =>
  count > 0
    ? all.toSorted((a, b) => (a.spec.at ?? '').localeCompare(b.spec.at ?? '')).slice(0, count)
    : []

const isReady = ({ status }: Pod): boolean =>
  status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') ??
  false
