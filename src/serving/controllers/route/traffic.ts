/**
 * Who gets the traffic of a Route: its targets resolved to Revisions, in groups by tag (upstream: pkg/reconciler/route/traffic). Pure.
 */
import { conditionOf, isReady } from '../../../knative/conditions.ts'
import type { Configuration } from '../../api/configuration.ts'
import { label } from '../../api/names.ts'
import type { Revision } from '../../api/revision.ts'
import type { Route } from '../../api/route.ts'
import type { TrafficTarget } from '../../api/traffic-target.ts'
import type { Rollout } from './rollout.ts'

export interface Target {
  readonly revisionName: string
  /** Of targets that follow a Configuration. */
  readonly configurationName?: string
  readonly latestRevision: boolean
  readonly percent: number
  readonly tag: string
}

export interface Traffic {
  /** One for each entry of the spec, equal ones merged: what the status shows. */
  readonly targets: readonly Target[]
  /** By tag, '' first, then sorted: what each host serves. Percents of a group's Revisions are what is sent there. */
  readonly groups: ReadonlyMap<string, readonly Target[]>
}

/** Why traffic can't be assigned: the condition AllTrafficAssigned. */
export interface BadTraffic {
  readonly status: 'False' | 'Unknown'
  readonly reason: string
  readonly message: string
}

export interface Targets {
  configuration(name: string): Configuration | undefined
  revision(name: string): Revision | undefined
}

/**
 * Resolves all targets. A target that has failed outweighs one that is still coming; of several failed ones the last
 * is told, of several coming ones the first.
 */
export function resolveTraffic(
  route: Route,
  find: Targets,
): { readonly traffic: Traffic } | { readonly bad: BadTraffic } {
  const targets: Target[] = []
  let bad: BadTraffic | undefined
  for (const entry of route.spec.traffic ?? []) {
    const found = entry.configurationName
      ? configurationTarget(entry.configurationName, entry, find)
      : revisionTarget(entry.revisionName ?? '', entry, route, find)
    if ('message' in found) {
      if (!bad || found.status === 'False') bad = found
    } else addMerged(targets, found, sameEntry)
  }
  return bad ? { bad } : { traffic: { targets, groups: groupsOf(targets) } }
}

const missing = (
  status: 'False' | 'Unknown',
  message: string,
  reason = 'RevisionMissing',
): BadTraffic => ({ status, reason, message })

function configurationTarget(
  name: string,
  entry: TrafficTarget,
  find: Targets,
): Target | BadTraffic {
  const configuration = find.configuration(name)
  if (!configuration)
    return missing(
      'False',
      `Configuration "${name}" referenced in traffic not found.`,
      'ConfigurationMissing',
    )
  const latest = configuration.status?.latestReadyRevisionName
  if (!latest)
    return conditionOf(configuration.status, 'Ready')?.status === 'False'
      ? missing('False', `Configuration "${name}" does not have any ready Revision.`)
      : missing('Unknown', `Configuration "${name}" is waiting for a Revision to become ready.`)
  return (
    unready(latest, find.revision(latest)) ?? {
      ...targetOf(entry, latest),
      configurationName: name,
      latestRevision: true,
    }
  )
}

function revisionTarget(
  name: string,
  entry: TrafficTarget,
  route: Route,
  find: Targets,
): Target | BadTraffic {
  const revision = find.revision(name)
  return (
    (revision && strange(revision, route)) ??
    unready(name, revision) ?? { ...targetOf(entry, name), latestRevision: false }
  )
}

/** A Service's Route leads only to the Service's own Revisions. */
function strange(revision: Revision, route: Route): BadTraffic | undefined {
  const own = route.metadata.labels?.[label.service]
  if (!own) return undefined
  const { name, labels } = revision.metadata
  const other = labels?.[label.service]
  if (other === own) return undefined
  return missing(
    'False',
    other
      ? `Revision "${name}" belongs to Service "${other}", not Service "${own}".`
      : `Revision "${name}" does not belong to Service "${own}".`,
    'RevisionNotOwned',
  )
}

function unready(name: string, revision: Revision | undefined): BadTraffic | undefined {
  if (!revision) return missing('False', `Revision "${name}" referenced in traffic not found.`)
  if (isReady(revision)) return undefined
  return conditionOf(revision.status, 'Ready')?.status === 'False'
    ? missing('False', `Revision "${name}" failed to become ready.`)
    : missing('Unknown', `Revision "${name}" is not yet ready.`)
}

const targetOf = ({ percent, tag }: TrafficTarget, revisionName: string) => ({
  revisionName,
  percent: percent ?? 0,
  tag: tag ?? '',
})

const sameEntry = (a: Target, b: Target): boolean =>
  a.tag === b.tag && a.revisionName === b.revisionName && a.latestRevision === b.latestRevision

const sameRevision = (a: Target, b: Target): boolean => a.revisionName === b.revisionName

function addMerged(
  targets: Target[],
  target: Target,
  same: (a: Target, b: Target) => boolean,
): void {
  const at = targets.findIndex((one) => same(one, target))
  const found = targets[at]
  if (found) targets[at] = { ...found, percent: found.percent + target.percent }
  else targets.push(target)
}

function groupsOf(targets: readonly Target[]): ReadonlyMap<string, readonly Target[]> {
  const tags = new Set(targets.map(({ tag }) => tag).filter((tag) => tag !== ''))
  const groups = new Map<string, readonly Target[]>([['', groupOf(targets)]])
  for (const tag of [...tags].sort())
    groups.set(tag, groupOf(targets.filter((target) => target.tag === tag)))
  return groups
}

/** Entries of one Revision are one; a Revision that is alone gets everything. */
function groupOf(targets: readonly Target[]): readonly Target[] {
  const group: Target[] = []
  for (const target of targets) addMerged(group, target, sameRevision)
  const [only, ...others] = group
  return only && others.length === 0 ? [{ ...only, percent: 100 }] : group
}

/** What the rollout starts from: each target that follows a Configuration, wholly on its latest Revision. */
export function wantedRollout({ groups }: Traffic): Rollout {
  const configurations = []
  for (const [tag, targets] of groups) {
    for (const { configurationName, revisionName, latestRevision, percent } of targets) {
      if (!latestRevision || !configurationName) continue
      configurations.push({
        configurationName,
        ...(tag && { tag }),
        percent,
        revisions: [{ revisionName, percent }],
        stepParams: {},
      })
    }
  }
  return { configurations }
}

/** The Revisions of a target with their percents, as far as a rollout has brought them. */
export function sharesOf(
  target: Target,
  tag: string,
  rollout: Rollout,
): readonly { readonly revisionName: string; readonly percent: number }[] {
  const entry =
    target.latestRevision &&
    rollout.configurations.find(
      (one) =>
        one.configurationName === target.configurationName &&
        (one.tag ?? '') === tag &&
        one.percent === target.percent,
    )
  return entry ? entry.revisions : [{ revisionName: target.revisionName, percent: target.percent }]
}

/**
 * `status.traffic`: during a rollout a target that follows a Configuration shows as one entry a Revision, the oldest
 * first. `urlOf` a tag is where the tag is served.
 */
export function statusTraffic(
  { targets, groups }: Traffic,
  rollout: Rollout,
  urlOf: (tag: string) => string | undefined,
): readonly TrafficTarget[] {
  // The main group has one rollout for all entries of a Configuration: they take from it in turn.
  const left = new Map<string, { revisionName: string; percent: number }[]>()
  for (const target of groups.get('') ?? [])
    if (target.configurationName)
      left.set(
        target.configurationName,
        sharesOf(target, '', rollout).map((share) => ({ ...share })),
      )
  return targets.flatMap((target) => {
    const { tag, latestRevision, configurationName = '', percent, revisionName } = target
    const url = tag ? urlOf(tag) : undefined
    const taken = latestRevision ? take(left.get(configurationName) ?? [], percent) : []
    const shares = taken.length > 0 ? taken : [{ revisionName, percent }]
    return shares.map((share) => ({
      ...(tag && { tag }),
      revisionName: share.revisionName,
      latestRevision,
      percent: share.percent,
      ...(url && { url }),
    }))
  })
}

/** Takes `percent` out of `shares`, from the first on. */
function take(
  shares: { revisionName: string; percent: number }[],
  percent: number,
): readonly { readonly revisionName: string; readonly percent: number }[] {
  const taken = []
  let wanted = percent
  for (const share of shares) {
    const part = Math.min(share.percent, wanted)
    if (part <= 0) continue
    share.percent -= part
    wanted -= part
    taken.push({ revisionName: share.revisionName, percent: part })
  }
  return taken
}
