/**
 * Deletes Revisions that nothing routes to any more, by age and number (upstream:
 * pkg/reconciler/gc). Runs per Configuration.
 */
import { keyOf, type KubeObject, type ObjectKey } from '../../../kube/api/meta.ts'
import type { Reconciler } from '../../../kube/controller/reconciler.ts'
import { configGc, type GcConfig } from '../../api/config/gc.ts'
import { Configuration } from '../../api/configuration.ts'
import { annotation, label } from '../../api/names.ts'
import { Revision } from '../../api/revision.ts'
import { watchConfigs, type ReadConfig } from '../config.ts'

export interface World {
  readonly configuration: Configuration
  readonly revisions: readonly Revision[]
  readonly config: GcConfig
}

export const revisionGcReconciler = (readConfig: ReadConfig): Reconciler<Configuration, World> => ({
  name: 'revision-gc-controller',
  kind: Configuration,
  watches: [{ kind: Revision, wake: ownConfiguration }, watchConfigs(Configuration, configGc)],

  observe(configuration, read) {
    const { namespace, name } = keyOf(configuration)
    return {
      configuration,
      revisions: read.list(Revision, namespace, { [label.configuration]: name }),
      config: readConfig(read, configGc),
    }
  },

  plan(world, nowMs) {
    const { gone, nextMs } = collect(world, nowMs)
    return {
      delete: gone.map((revision) => ({
        kind: Revision,
        key: keyOf(revision),
        ...(revision.metadata.uid && { uid: revision.metadata.uid }),
      })),
      ...(nextMs !== undefined && { requeueAfterMs: nextMs - nowMs }),
    }
  },
})

/** Only a Revision in reserve can bring anything to collect. */
function ownConfiguration({ metadata }: KubeObject): readonly ObjectKey[] {
  const name = metadata.labels?.[label.configuration]
  if (!name || metadata.labels?.[label.routingState] !== 'reserve') return []
  return [{ namespace: metadata.namespace ?? '', name }]
}

/** Which to delete now, and when the next one comes of age. */
export function collect(
  { configuration, revisions, config }: World,
  nowMs: number,
): { readonly gone: readonly Revision[]; readonly nextMs?: number } {
  const {
    retainSinceCreateTimeMs: create,
    retainSinceLastActiveTimeMs: active,
    minNonActiveRevisions: min,
    maxNonActiveRevisions: max,
  } = config
  if (create === undefined && active === undefined && max === undefined) return { gone: [] }
  const idle = revisions
    .filter((revision) => isIdle(revision, configuration))
    .sort((a, b) => lastActiveMs(a) - lastActiveMs(b))
  if (revisions.length <= min || idle.length <= min) return { gone: [] }

  /** When a Revision may go for its age; undefined = never for that. */
  const staleAtMs = (revision: Revision): number | undefined =>
    create === undefined && active === undefined
      ? undefined
      : Math.max(
          create === undefined ? 0 : createdMs(revision) + create,
          active === undefined ? 0 : lastActiveMs(revision) + active,
        )
  const gone: Revision[] = []
  const kept: Revision[] = []
  let nextMs = Number.POSITIVE_INFINITY
  for (const revision of idle) {
    const staleMs = staleAtMs(revision)
    const mayGo = idle.length - gone.length > min
    if (mayGo && staleMs !== undefined && staleMs <= nowMs) {
      gone.push(revision)
      continue
    }
    kept.push(revision)
    if (mayGo && staleMs !== undefined) nextMs = Math.min(nextMs, staleMs)
  }
  if (max !== undefined && kept.length > max) gone.push(...kept.splice(0, kept.length - max))
  return Number.isFinite(nextMs) && kept.length > min ? { gone, nextMs } : { gone }
}

const isIdle = ({ metadata }: Revision, { status }: Configuration): boolean =>
  metadata.labels?.[label.routingState] === 'reserve' &&
  metadata.deletionTimestamp === undefined &&
  metadata.name !== status?.latestReadyRevisionName &&
  metadata.annotations?.[annotation.noGC]?.toLowerCase() !== 'true'

const createdMs = ({ metadata }: Revision): number =>
  Date.parse(metadata.creationTimestamp ?? '') || 0

const lastActiveMs = (revision: Revision): number =>
  Date.parse(revision.metadata.annotations?.[annotation.routingStateModified] ?? '') ||
  createdMs(revision)
