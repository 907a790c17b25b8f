/** What a Service says of itself: its Configuration's and Route's conditions, repeated. */
import { conditionOf } from '../../../knative/conditions.ts'
import { Configuration } from '../../api/configuration.ts'
import type { Route } from '../../api/route.ts'
import { serviceConditions, type ServiceStatus } from '../../api/service.ts'
import type { TrafficTarget } from '../../api/traffic-target.ts'

const conditions = serviceConditions

export const configurationOutOfDate = (status: ServiceStatus, nowMs: number): ServiceStatus =>
  conditions.markUnknown(
    status,
    'ConfigurationsReady',
    'OutOfDate',
    'The Configuration is still working to reflect the latest desired specification.',
    nowMs,
  )

export const routeOutOfDate = (status: ServiceStatus, nowMs: number): ServiceStatus =>
  conditions.markUnknown(
    status,
    'RoutesReady',
    'OutOfDate',
    'The Route is still working to reflect the latest desired specification.',
    nowMs,
  )

export const notOwned = (
  status: ServiceStatus,
  kind: 'Configuration' | 'Route',
  name: string,
  nowMs: number,
): ServiceStatus =>
  conditions.markFalse(
    status,
    kind === 'Configuration' ? 'ConfigurationsReady' : 'RoutesReady',
    'NotOwned',
    `There is an existing ${kind} "${name}" that we do not own.`,
    nowMs,
  )

export const revisionNameTaken = (
  status: ServiceStatus,
  name: string,
  nowMs: number,
): ServiceStatus =>
  conditions.markFalse(
    status,
    'RoutesReady',
    'RevisionNameTaken',
    `The revision name "${name}" is taken by a conflicting Revision, so traffic will not be migrated`,
    nowMs,
  )

/** Repeats the Configuration's Ready and revision names. */
export function withConfiguration(
  status: ServiceStatus,
  { status: seen }: Configuration,
  nowMs: number,
): ServiceStatus {
  const { latestCreatedRevisionName: created, latestReadyRevisionName: ready } = seen ?? {}
  const { latestCreatedRevisionName: _c, latestReadyRevisionName: _r, ...rest } = status
  const next = {
    ...rest,
    ...(created && { latestCreatedRevisionName: created }),
    ...(ready && { latestReadyRevisionName: ready }),
  }
  return conditions.mirror(next, 'ConfigurationsReady', conditionOf(seen, 'Ready'), nowMs)
}

/** Repeats the Route's Ready, URL and traffic. */
export function withRoute(
  status: ServiceStatus,
  { status: seen }: Route,
  nowMs: number,
): ServiceStatus {
  const { url: _u, address: _a, traffic: _t, domain: _d, ...rest } = status
  const { url, address, traffic, domain } = seen ?? {}
  const next = {
    ...rest,
    ...(url && { url }),
    ...(domain && { domain }),
    ...(address && { address }),
    ...(traffic && { traffic }),
  }
  return conditions.mirror(next, 'RoutesReady', conditionOf(seen, 'Ready'), nowMs)
}

/** A Route can be ready and yet lead to the revision before: then the Service is not. */
export function checkTrafficMigrated(
  status: ServiceStatus,
  configuration: Configuration,
  route: Route,
  nowMs: number,
): ServiceStatus {
  if (conditionOf(status, 'RoutesReady')?.status !== 'True') return status
  const wanted = (route.spec.traffic ?? []).map((target) =>
    target.configurationName === configuration.metadata.name
      ? {
          ...target,
          configurationName: '',
          revisionName: configuration.status?.latestReadyRevisionName ?? '',
        }
      : target,
  )
  const got = route.status?.traffic ?? []
  if (wanted.length === got.length && wanted.every((target, i) => same(target, got[i])))
    return status
  return conditions.markUnknown(
    status,
    'RoutesReady',
    'TrafficNotMigrated',
    'Traffic is not yet migrated to the latest revision.',
    nowMs,
  )
}

const same = (a: TrafficTarget, b: TrafficTarget | undefined): boolean =>
  (a.revisionName ?? '') === (b?.revisionName ?? '') &&
  (a.configurationName ?? '') === (b?.configurationName ?? '') &&
  (a.tag ?? '') === (b?.tag ?? '') &&
  (a.percent ?? 0) === (b?.percent ?? 0)
