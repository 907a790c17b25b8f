/** What a Configuration says of itself: which Revision is the newest, which the newest ready one. */
import { conditionOf, isReady } from '../../../knative/conditions.ts'
import { normal, warning, type PlannedEvent } from '../../../kube/controller/reconciler.ts'
import {
  configurationConditions,
  type Configuration,
  type ConfigurationStatus,
} from '../../api/configuration.ts'
import { label } from '../../api/names.ts'
import type { Revision } from '../../api/revision.ts'

const conditions = configurationConditions

/** The Revision of this generation could not be made; `why` has no full stop. */
export const creationFailed = (
  status: ConfigurationStatus,
  why: string,
  nowMs: number,
): ConfigurationStatus =>
  conditions.markFalse(
    status,
    'Ready',
    'RevisionFailed',
    `Revision creation failed with message: ${why}.`,
    nowMs,
  )

export function withLatestCreated(
  status: ConfigurationStatus,
  name: string,
  nowMs: number,
): ConfigurationStatus {
  const next = { ...status, latestCreatedRevisionName: name }
  return name === status.latestReadyRevisionName
    ? next
    : conditions.markUnknown(next, 'Ready', '', '', nowMs)
}

/** Takes in what became of the newest Revision, then which of all is the newest ready one. */
export function withRevisions(
  status: ConfigurationStatus,
  configuration: Configuration,
  created: Revision,
  revisions: readonly Revision[],
  nowMs: number,
): { readonly status: ConfigurationStatus; readonly events: readonly PlannedEvent[] } {
  const events: PlannedEvent[] = []
  let next = status
  const { name } = created.metadata
  const ready = conditionOf(created.status, 'Ready')
  if (ready?.status === 'True' && !status.latestReadyRevisionName)
    events.push(normal('ConfigurationReady', 'Configuration becomes ready'))
  if (ready?.status === 'False') {
    const message = `Revision "${name}" failed with message: ${ready.message ?? ''}.`
    next = conditions.markFalse(next, 'Ready', 'RevisionFailed', message, nowMs)
    const before = conditionOf(configuration.status, 'Ready')
    if (before?.status !== 'False' || before.message !== message)
      events.push(
        name === status.latestReadyRevisionName
          ? warning('LatestReadyFailed', `Latest ready revision "${name}" has failed`)
          : warning('LatestCreatedFailed', `Latest created revision "${name}" has failed`),
      )
  }
  const latest = candidates(configuration, status.latestReadyRevisionName, revisions).find((one) =>
    isReady(one),
  )?.metadata.name
  if (!latest) return { status: next, events }
  if (latest !== status.latestReadyRevisionName)
    events.push(normal('LatestReadyUpdate', `LatestReadyRevisionName updated to "${latest}"`))
  next = { ...next, latestReadyRevisionName: latest }
  if (latest === next.latestCreatedRevisionName) next = conditions.markTrue(next, 'Ready', nowMs)
  return { status: next, events }
}

const generationOf = (revision: Revision): number =>
  Number(revision.metadata.labels?.[label.configurationGeneration] ?? 0)

/**
 * Revisions that may be the latest ready one, the best first: never older than the one that is, but for one that the
 * user has named again.
 */
function candidates(
  configuration: Configuration,
  latestReady: string | undefined,
  revisions: readonly Revision[],
): readonly Revision[] {
  const named = configuration.spec.template.metadata?.name
  const { generation = 0 } = configuration.metadata
  const current = revisions.find(({ metadata }) => metadata.name === latestReady)
  const oldest = current ? generationOf(current) : 0
  return revisions
    .filter((revision) => {
      const own = generationOf(revision)
      return (own >= oldest && own <= generation) || revision.metadata.name === named
    })
    .sort((a, b) => {
      if (named && a.metadata.name === named) return -1
      if (named && b.metadata.name === named) return 1
      return generationOf(b) - generationOf(a)
    })
}
