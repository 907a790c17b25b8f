/**
 * RevisionSpec and RevisionTemplate: what Service, Configuration and Revision share (serving/v1). The pod part is in pod-spec.ts.
 */
import type { StringMap } from '../../kube/api/meta.ts'
import { integer, map, object, string, type Schema, type Static } from '../../kube/api/schema.ts'
import { podSpecFields, type RevisionPodSpec } from './pod-spec.ts'

/** spec of a Revision. After admission every container has a name and `resources`. */
export interface RevisionSpec extends RevisionPodSpec {
  /** Requests one container takes at a time; 0 = no limit. */
  readonly containerConcurrency?: number
  readonly timeoutSeconds?: number
  readonly responseStartTimeoutSeconds?: number
  readonly idleTimeoutSeconds?: number
}

export const RevisionSpec: Schema<RevisionSpec> = object(
  {
    ...podSpecFields,
    containerConcurrency: integer({
      format: 'int64',
      description: 'Most requests one container takes at a time. 0, the default, is no limit.',
    }),
    timeoutSeconds: integer({
      format: 'int64',
      description: 'Longest time a request may take, in seconds.',
    }),
    responseStartTimeoutSeconds: integer({
      format: 'int64',
      description: 'Longest time until the first byte of an answer, in seconds.',
    }),
    idleTimeoutSeconds: integer({
      format: 'int64',
      description: 'Longest time without a byte of an answer, in seconds.',
    }),
  },
  { required: ['containers'] },
) as Schema<RevisionSpec>

const templateMetadata = object(
  {
    // Values are not said to be strings: numbers, as old tutorials have them, are repaired instead of refused.
    annotations: map({ 'x-kubernetes-preserve-unknown-fields': true }) as Schema<StringMap>,
    finalizers: { type: 'array', items: string() } as Schema<readonly string[]>,
    labels: map(string()),
    name: string({ description: 'Name of the Revision; made by the system when absent.' }),
    namespace: string(),
  },
  { 'x-kubernetes-preserve-unknown-fields': true },
)
type TemplateMetadata = Static<typeof templateMetadata>

/** template of a Service or Configuration. */
export interface RevisionTemplate {
  readonly metadata?: TemplateMetadata
  readonly spec: RevisionSpec
}
export const RevisionTemplate: Schema<RevisionTemplate> = object(
  { metadata: templateMetadata, spec: RevisionSpec },
  { description: 'The Revision to make; a change of it makes a new one.' },
) as Schema<RevisionTemplate>
