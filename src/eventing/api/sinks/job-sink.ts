/** JobSink: a Job for each event (sinks.knative.dev/v1alpha1). */
import { admission } from '../../../knative/admission.ts'
import { childName } from '../../../knative/child-name.ts'
import { conditionSet } from '../../../knative/conditions.ts'
import { readyColumns } from '../../../knative/columns.ts'
import { genericError, missingField, type FieldError } from '../../../knative/field-error.ts'
import { statusFields } from '../../../knative/status.ts'
import { Job } from '../../../kube/api/job.ts'
import type { AdmissionContext, KindDefinition } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import { builtin, object, string, type Static } from '../../../kube/api/schema.ts'
import { StatusError } from '../../../kube/api/status-error.ts'
import { addressFields, ageColumn, policyFields, urlColumn } from '../duck/address-status.ts'
import {
  definitionLabels,
  clusterDomain,
  sinksGroup,
  systemNamespace,
  validationWebhook,
} from '../names.ts'
import { sourceDefaults } from '../sources/source-kind.ts'

/** A Job as it stands in the spec: without a name. */
export type JobTemplate = Pick<Job, 'spec'> & {
  readonly metadata?: Partial<Job['metadata']>
}

export const JobSinkSpec = object({
  job: builtin<JobTemplate>('io.k8s.api.batch.v1.Job', { description: 'The Job to run.' }),
})
export type JobSinkSpec = Static<typeof JobSinkSpec>

export const JobSinkStatus = object({
  ...statusFields,
  ...addressFields,
  ...policyFields,
  job: object({ selector: string({ description: 'Labels of its Jobs.' }) }),
})
export type JobSinkStatus = Static<typeof JobSinkStatus>

export interface JobSink extends KubeObject {
  readonly spec: JobSinkSpec
  readonly status?: JobSinkStatus
}

/** Where all JobSinks are, at `/namespace/name`. */
export const jobSinkHost = `job-sink.${systemNamespace}.svc.${clusterDomain}`

export const jobSinkLabel = 'sinks.knative.dev/job-sink-name'
/** What its Jobs carry there: its name, or what stands for one that is too long for a label. */
export const jobSinkLabelValue = (name: string): string => childName(name, '')
export const jobSinkIdLabel = 'sinks.knative.dev/job-sink-id'

const modeVariable = 'K_EXECUTION_MODE'

type Container = NonNullable<
  NonNullable<JobTemplate['spec']>['template']['spec']
>['containers'][number]

const inBatch = (container: Container): Container =>
  container.env?.some(({ name }) => name === modeVariable)
    ? container
    : { ...container, env: [...(container.env ?? []), { name: modeVariable, value: 'batch' }] }

/** Every container is told that it runs for one event. */
function withDefaults(sink: JobSink): JobSink {
  const { job } = sink.spec ?? {}
  const pod = job?.spec?.template?.spec
  if (!job?.spec || !pod) return sink
  const spec = {
    ...pod,
    containers: (pod.containers ?? []).map(inBatch),
    ...(pod.initContainers && { initContainers: pod.initContainers.map(inBatch) }),
  }
  return {
    ...sink,
    spec: {
      ...sink.spec,
      job: { ...job, spec: { ...job.spec, template: { ...job.spec.template, spec } } },
    },
  }
}

/** The volume with the event; a container may have said where it wants it. */
export const eventVolume = 'jobsink-event'

function withEventVolume(spec: Job['spec']): Job['spec'] {
  const pod = spec.template?.spec
  if (!pod) return spec
  const others = (pod.volumes ?? []).filter(({ name }) => name !== eventVolume)
  const volumes = [...others, { name: eventVolume, emptyDir: {} }]
  return { ...spec, template: { ...spec.template, spec: { ...pod, volumes } } }
}

/** The Job's own admission says what is wrong with it. */
function* validate(sink: JobSink, context: AdmissionContext<JobSink>): Generator<FieldError> {
  const { job } = sink.spec ?? {}
  if (!job?.spec) {
    yield missingField('spec.job')
    return
  }
  const { namespace = '', name } = sink.metadata
  const { old: _, ...rest } = context
  try {
    Job.admit?.(
      {
        apiVersion: 'batch/v1',
        kind: Job.kind,
        metadata: {
          ...job.metadata,
          namespace,
          name: `${name.slice(0, 50)}-check`,
          uid: '00000000-0000-0000-0000-000000000000',
        },
        spec: withEventVolume(job.spec),
      },
      { ...rest, operation: 'CREATE', dryRun: true, warn: () => {} },
    )
  } catch (error) {
    if (!(error instanceof StatusError)) throw error
    yield genericError(error.message, 'spec.job')
  }
}

export const jobSinkConditions = conditionSet({ dependents: ['Addressable', 'EventPoliciesReady'] })

export const JobSink: KindDefinition<JobSink> = {
  group: sinksGroup,
  version: 'v1alpha1',
  kind: 'JobSink',
  plural: 'jobsinks',
  singular: 'jobsink',
  categories: ['all', 'knative', 'eventing', 'sink'],
  namespaced: true,
  flavour: 'custom',
  hasStatus: true,
  hasGeneration: true,
  description: 'Runs a Job for each event.',
  definition: {
    labels: definitionLabels.addressable,
  },
  admit: admission({
    webhook: validationWebhook,
    defaults: sourceDefaults(withDefaults, sinksGroup),
    validate,
  }),
  schema: object({ spec: JobSinkSpec, status: JobSinkStatus }),
  columns: [urlColumn, ageColumn, ...readyColumns],
}
