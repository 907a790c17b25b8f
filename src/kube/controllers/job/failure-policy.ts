/** What a failed pod means by the Job's podFailurePolicy: the first rule that matches decides (batch/v1). */
import type { Job } from '../../api/job.ts'
import type { Pod } from '../../api/pod.ts'

export interface Verdict {
  readonly action: 'Count' | 'Ignore' | 'FailJob' | 'FailIndex'
  /** Why, for the Job's condition. */
  readonly message: string
}

const counted: Verdict = { action: 'Count', message: '' }

export function verdictOf({ spec, metadata }: Job, pod: Pod): Verdict {
  const where = `${metadata.namespace ?? ''}/${pod.metadata.name}`
  for (const [i, { action, onExitCodes, onPodConditions }] of (
    spec.podFailurePolicy?.rules ?? []
  ).entries()) {
    const verdict = (message: string): Verdict =>
      action === 'FailJob' || action === 'FailIndex' || action === 'Ignore'
        ? { action, message: `${message} matching ${action} rule at index ${i}` }
        : counted
    if (onExitCodes) {
      const all = [
        ...(pod.status?.containerStatuses ?? []),
        ...(pod.status?.initContainerStatuses ?? []),
      ]
      for (const { name, state } of all) {
        const code = state?.terminated?.exitCode
        if (code === undefined || code === 0) continue
        if (onExitCodes.containerName && onExitCodes.containerName !== name) continue
        if (onExitCodes.values.includes(code) === (onExitCodes.operator === 'In'))
          return verdict(`Container ${name} for pod ${where} failed with exit code ${code}`)
      }
    }
    for (const { type, status = 'True' } of onPodConditions ?? [])
      if (pod.status?.conditions?.some((each) => each.type === type && each.status === status))
        return verdict(`Pod ${where} has condition ${type}`)
  }
  return counted
}
