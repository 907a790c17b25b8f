/** The pods of a Job: how one is made, and what one tells. */
import { controllerRef } from '../../api/meta.ts'
import type { Job } from '../../api/job.ts'
import { Pod } from '../../api/pod.ts'
import type { Apply } from '../../controller/reconciler.ts'

/** Held by each pod until its Job has counted it. */
export const trackingFinalizer = 'batch.kubernetes.io/job-tracking'
export const indexAnnotation = 'batch.kubernetes.io/job-completion-index'

export const isIndexed = ({ spec }: Job): boolean => spec.completionMode === 'Indexed'

/** Its completion index; undefined when it has none. */
export function indexOf({ metadata }: Pod): number | undefined {
  const text = metadata.annotations?.[indexAnnotation]
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined
}

export const isTracked = ({ metadata }: Pod): boolean =>
  metadata.finalizers?.includes(trackingFinalizer) ?? false

/** Ended; also one that was taken away before anybody ran it. */
export const isOver = (pod: Pod): boolean =>
  pod.status?.phase === 'Succeeded' ||
  pod.status?.phase === 'Failed' ||
  (pod.metadata.deletionTimestamp !== undefined &&
    (pod.metadata.deletionGracePeriodSeconds === 0 || !pod.spec.nodeName))

export const hasSucceeded = ({ status }: Pod): boolean => status?.phase === 'Succeeded'

/** When it came to its end. */
export function endedMs({ status, metadata }: Pod): number {
  const ends = (status?.containerStatuses ?? []).map(
    ({ state }) => Date.parse(state?.terminated?.finishedAt ?? '') || 0,
  )
  const latest = Math.max(0, ...ends)
  return latest || Date.parse(metadata.deletionTimestamp ?? status?.startTime ?? '') || 0
}

export const restartsOf = ({ status }: Pod): number =>
  [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])].reduce(
    (sum, { restartCount }) => sum + restartCount,
    0,
  )

export function newPod(job: Job, suffix: string, index: number | undefined): Apply {
  const { metadata: template = {}, spec } = job.spec.template
  const { name: jobName, namespace } = job.metadata
  const generateName = index === undefined ? `${jobName}-` : `${jobName}-${index}-`
  const name = generateName.slice(0, 58) + suffix
  const indexText = index === undefined ? undefined : String(index)
  const pod: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      generateName,
      ...(namespace && { namespace }),
      labels: { ...template.labels, ...(indexText && { [indexAnnotation]: indexText }) },
      ...((template.annotations ?? indexText) && {
        annotations: {
          ...template.annotations,
          ...(indexText && { [indexAnnotation]: indexText }),
        },
      }),
      finalizers: [...(template.finalizers ?? []), trackingFinalizer],
      ownerReferences: [controllerRef(job)],
    },
    spec: index === undefined ? (spec ?? { containers: [] }) : withIndex(spec, jobName, index),
  }
  return {
    kind: Pod,
    desired: pod,
    merge: (existing) => existing,
    created: { type: 'Normal', reason: 'SuccessfulCreate', message: `Created pod: ${name}` },
    createFailed: { type: 'Warning', reason: 'FailedCreate', message: 'Error creating: ' },
  }
}

const indexVariable = {
  name: 'JOB_COMPLETION_INDEX',
  valueFrom: { fieldRef: { fieldPath: `metadata.labels['${indexAnnotation}']` } },
}

function withIndex(
  spec: Job['spec']['template']['spec'],
  jobName: string,
  index: number,
): Pod['spec'] {
  type Container = Pod['spec']['containers'][number]
  const told = (container: Container): Container => ({
    ...container,
    env: [
      ...(container.env ?? []).filter(({ name }) => name !== indexVariable.name),
      indexVariable,
    ],
  })
  return {
    ...spec,
    hostname: spec?.hostname ?? `${jobName}-${index}`.slice(0, 63),
    containers: (spec?.containers ?? []).map(told),
    ...(spec?.initContainers && { initContainers: spec.initContainers.map(told) }),
  }
}
