/** What must hold of the targets of a Service or Route, and their defaults. */
import {
  disallowedFields,
  genericError,
  invalidKeyName,
  invalidValue,
  missingOneOf,
  multipleOneOf,
  outOfBounds,
  via,
  type FieldError,
} from '../../knative/field-error.ts'
import { label1035Problem } from '../../kube/api/validation.ts'
import { qualifiedNameProblems } from './qualified-name.ts'
import type { TrafficTarget } from './traffic-target.ts'

/** `latestRevision` and `percent` written out. */
export const defaultTraffic = (targets: readonly TrafficTarget[]): readonly TrafficTarget[] =>
  targets.map((target) => ({
    ...target,
    latestRevision: target.latestRevision ?? !target.revisionName,
    percent: target.percent ?? 0,
  }))

/** What a Service without traffic does: all to the latest Revision. */
export const latestTraffic: readonly TrafficTarget[] = [{ latestRevision: true, percent: 100 }]

/**
 * Paths as seen from the spec. A Service's targets must not name a Configuration, a Route's name either a
 * Configuration or a Revision.
 */
export function* validateTraffic(
  targets: readonly TrafficTarget[],
  owner: 'Service' | 'Route',
): Generator<FieldError> {
  let sum = 0
  const tags = new Map<string, number>()
  for (const [i, target] of targets.entries()) {
    const at = `traffic[${i}]`
    yield* via(at, validateTarget(target, owner))
    sum += target.percent ?? 0
    if (!target.tag) continue
    const first = tags.get(target.tag)
    if (first === undefined) tags.set(target.tag, i)
    else
      yield genericError(
        `Multiple definitions for ${JSON.stringify(target.tag)}`,
        `traffic[${first}].tag`,
        `${at}.tag`,
      )
    const problem = label1035Problem(target.tag)
    // Upstream appends the index behind the field here, and nowhere else.
    if (problem) yield invalidValue(`not a DNS 1035 label: [${problem}]`, `traffic.tag[${i}]`)
  }
  if (sum !== 100) yield genericError(`Traffic targets sum to ${sum}, want 100`, 'traffic')
}

function* validateTarget(target: TrafficTarget, owner: 'Service' | 'Route'): Generator<FieldError> {
  const { configurationName, revisionName, percent = 0, latestRevision } = target
  if (owner === 'Service') {
    if (configurationName) yield disallowedFields('configurationName')
  } else if (configurationName && revisionName)
    yield multipleOneOf('configurationName', 'revisionName')
  else if (!configurationName && !revisionName)
    yield missingOneOf('configurationName', 'revisionName')

  for (const [field, name] of Object.entries({ configurationName, revisionName })) {
    const problems = name ? qualifiedNameProblems(name) : []
    if (problems.length > 0) yield invalidKeyName(name ?? '', field, ...problems)
  }
  if (latestRevision !== undefined && latestRevision !== !revisionName) {
    yield genericError(
      `may not set revisionName ${JSON.stringify(revisionName ?? '')} when latestRevision is ${latestRevision}`,
      'latestRevision',
    )
  }
  if (percent < 0 || percent > 100) yield outOfBounds(percent, 0, 100, 'percent')
  if (target.url) yield disallowedFields('url')
}
