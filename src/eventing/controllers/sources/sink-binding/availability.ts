/** Whether a SinkBinding's subjects are bound, as its condition SinkBindingAvailable says it. Pure. */
import type { Kind } from '../../../../kube/api/kind.ts'
import {
  sinkBindingConditions as conditions,
  type SinkBindingStatus,
  type Subject,
} from '../../../api/sources/sink-binding.ts'
import { withBinding, type Bound } from './environment.ts'
import {
  isCronJob,
  isFinished,
  isFixed,
  podOf,
  podspecableKinds,
  type Podspecable,
} from './podspecable.ts'
import { selected, type SelectionMode } from './selection.ts'

export interface Subjects {
  readonly subject: Subject
  /** Undefined = subjects of such a kind can't be bound. */
  readonly kind: Kind | undefined
  /** Those that are meant, but for what is left alone. */
  readonly subjects: readonly Podspecable[]
  readonly someLeftAlone: boolean
}

export function withAvailability(
  status: SinkBindingStatus,
  { subject, kind, subjects, someLeftAlone }: Subjects,
  bound: Bound,
  mode: SelectionMode,
  nowMs: number,
): SinkBindingStatus {
  const no = (reason: string, message: string) =>
    conditions.markFalse(status, 'SinkBindingAvailable', reason, message, nowMs)
  if (!kind) return no('SubjectUnavailable', unbindable(subject))
  if (subjects.length === 0 && !someLeftAlone && !subject.selector) {
    const resource = kind.group === '' ? kind.plural : `${kind.plural}.${kind.group}`
    return no('SubjectMissing', `${resource} "${subject.name}" not found`)
  }
  const bare = subjects.filter((each) => !podOf(each))
  if (bare.length > 0)
    return no(
      'SubjectUnavailable',
      `${namesOf(bare)}: there is no pod template at spec.template.spec`,
    )
  const late = isFixed(kind) ? subjects.filter((each) => isLate(each, bound)) : []
  if (late.length > 0)
    return no(
      'BindingFailed',
      `${namesOf(late)}: made before this binding, or before its sink was what it is now, and a Job can not be changed: delete it and make it again`,
    )
  return someLeftAlone
    ? conditions.markTrueWithReason(
        status,
        'SinkBindingAvailable',
        'SubjectLeftAlone',
        `${selected[mode]}; what is meant besides is left as it is`,
        nowMs,
      )
    : conditions.markTrue(status, 'SinkBindingAvailable', nowMs)
}

const unbindable = (subject: Subject): string =>
  isCronJob(subject)
    ? 'a CronJob has no pod template at spec.template: bind its Jobs, by a label in spec.jobTemplate.metadata.labels'
    : `nobody serves objects of kind ${subject.kind} (${subject.apiVersion}) with a pod template at spec.template: bound are ${podspecableKinds.map((each) => each.kind).join(', ')}, and kinds of CustomResourceDefinitions`

const maxNamed = 5

function namesOf(subjects: readonly Podspecable[]): string {
  const names = subjects.slice(0, maxNamed).map(({ kind, metadata }) => `${kind} ${metadata.name}`)
  const more = subjects.length - names.length
  return `${names.join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}

/** It runs, or will, without knowing the sink. */
function isLate(job: Podspecable, bound: Bound): boolean {
  const pod = podOf(job)
  if (!pod || isFinished(job) || job.metadata.deletionTimestamp) return false
  return withBinding(pod, bound) !== pod
}
