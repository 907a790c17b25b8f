/**
 * Sources of 2019, group sources.eventing.knative.dev/v1alpha1 (contract eventing §9.5): accepted as they were written,
 * with a warning that names today's kind, and run as that. Sinks without `ref` become ones with it.
 */
import { admission } from '../../../knative/admission.ts'
import { invalidValue, missingField, via, type FieldError } from '../../../knative/field-error.ts'
import { fieldsOf, isFields, listOf, textOf, type Fields } from '../../../knative/old-form.ts'
import type { AdmissionContext, KindDefinition } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import { object } from '../../../kube/api/schema.ts'
import {
  validateApiServerSpec,
  withApiServerDefaults,
  type ApiServerSource,
} from '../sources/api-server-source.ts'
import { destinationOf } from '../conversion/destination.ts'
import { definitionLabels, validationWebhook } from '../names.ts'
import { pingScheduleProblem } from '../sources/ping-schedule.ts'
import { sourceColumns, sourceDefaults, sourceKindFields } from '../sources/source-kind.ts'
import {
  validateSourceSpec,
  type Source,
  type SourceSpec,
  type SourceStatus,
} from '../duck/source-spec.ts'

export const formerSourcesGroup = 'sources.eventing.knative.dev'

/** A source of 2019 whose spec is looked at with care. */
export interface FormerSource extends Source {
  readonly spec: SourceSpec & Fields
  readonly status?: SourceStatus
}

const anything = { 'x-kubernetes-preserve-unknown-fields': true } as const
const schema = object({ spec: object({}, anything), status: object({}, anything) })

interface Former<T extends Source> {
  readonly kind: string
  readonly plural: string
  readonly description: string
  /** What to use today, for the warning. */
  readonly instead: string
  readonly fill?: (source: T) => T
  readonly validate?: (source: T) => Iterable<FieldError>
}

function former<T extends Source>({
  kind,
  plural,
  description,
  instead,
  fill = (source) => source,
  validate = () => [],
}: Former<T>): KindDefinition<T> {
  const filled = (source: T, patched: boolean): T => {
    const sink = destinationOf(source.spec?.sink, 'spec.sink', patched)
    return fill({ ...source, spec: { ...source.spec, ...(sink && { sink }) } })
  }
  return {
    ...sourceKindFields,
    group: formerSourcesGroup,
    version: 'v1alpha1',
    kind,
    plural,
    singular: kind.toLowerCase(),
    description,
    definition: { labels: definitionLabels.source },
    admit: admission<T>({
      webhook: validationWebhook,
      defaults(sent, context: AdmissionContext<T>) {
        context.warn(`${formerSourcesGroup}/v1alpha1 ${kind} is deprecated; use ${instead}`)
        const source = filled(sent, context.old !== undefined)
        return sourceDefaults<T>((each) => each, formerSourcesGroup)(source, context)
      },
      *validate(source) {
        yield* via('spec', validateSourceSpec(source.spec ?? {}))
        yield* via('spec', validate(source))
      },
    }),
    schema,
    columns: sourceColumns<T>(),
  }
}

export const FormerApiServerSource = former<ApiServerSource>({
  kind: 'ApiServerSource',
  plural: 'apiserversources',
  description: 'Sends an event for each change of objects in the API; the form of 2019.',
  instead: 'sources.knative.dev/v1 ApiServerSource',
  fill(source) {
    const spec = fieldsOf(source.spec)
    const given = listOf(spec['resources']).map(fieldsOf)
    const resources = given.map(({ apiVersion, kind, selector, labelSelector, controller }) => {
      const chosen = isFields(selector) ? selector : labelSelector
      return {
        apiVersion: textOf(apiVersion),
        kind: textOf(kind),
        ...(isFields(chosen) && Object.keys(chosen).length > 0 && { selector: chosen }),
        // Read by the controller of sources: it tells of the controllers of these objects.
        ...(controller === true && { controller }),
      }
    })
    const owner = given.map((each) => fieldsOf(each['controllerSelector'])).find(isOwner)
    const mode = spec['mode'] === 'Ref' ? 'Reference' : spec['mode']
    const next = {
      ...(owner && {
        owner: { apiVersion: textOf(owner['apiVersion']), kind: textOf(owner['kind']) },
      }),
      ...spec,
      resources,
      ...(typeof mode === 'string' && { mode }),
    }
    return withApiServerDefaults({ ...source, spec: next })
  },
  validate: ({ spec }) => withoutSink(validateApiServerSpec(spec)),
})

const isOwner = (selector: Fields): boolean =>
  textOf(selector['apiVersion']) !== '' && textOf(selector['kind']) !== ''

/** The shared fields have been looked at. */
function* withoutSink(errors: Iterable<FieldError>): Generator<FieldError> {
  for (const error of errors)
    if (!error.paths.some((path) => path === 'sink' || path.startsWith('sink.'))) yield error
}

export const KubernetesEventSource = former<FormerSource>({
  kind: 'KubernetesEventSource',
  plural: 'kuberneteseventsources',
  description: 'Sends an event for each Event of Kubernetes in a namespace; the form of 2018.',
  instead: 'sources.knative.dev/v1 ApiServerSource with resources of kind Event',
})

export const kubernetesEventType = 'dev.knative.k8s.event'

/** What it follows, as an ApiServerSource of today says it. */
export function asApiServerSource({ spec, ...rest }: FormerSource): ApiServerSource {
  const namespace = textOf(spec['namespace']) || (rest.metadata.namespace ?? '')
  return {
    ...rest,
    spec: {
      ...(spec.sink && { sink: spec.sink }),
      ...(spec.ceOverrides && { ceOverrides: spec.ceOverrides }),
      mode: 'Resource',
      resources: [{ apiVersion: 'v1', kind: 'Event' }],
      serviceAccountName: textOf(spec['serviceAccountName']) || 'default',
      namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
    },
  }
}

export const cronJobEventType = 'dev.knative.cronjob.event'

export const CronJobSource = former<FormerSource>({
  kind: 'CronJobSource',
  plural: 'cronjobsources',
  description: 'Sends an event each time a schedule says so; the form of 2019.',
  instead: 'sources.knative.dev/v1 PingSource',
  *validate({ spec }) {
    const schedule = textOf(spec['schedule'])
    const problem =
      schedule === ''
        ? { field: 'schedule', text: 'empty spec string' }
        : pingScheduleProblem(schedule, textOf(spec['timezone']))
    if (problem) yield invalidValue(problem.text, problem.field)
  },
})

export const FormerContainerSource = former<FormerSource>({
  kind: 'ContainerSource',
  plural: 'containersources',
  description: 'Runs a container that sends events; the form of 2019.',
  instead: 'sources.knative.dev/v1 ContainerSource',
  *validate({ spec }) {
    const containers = listOf(fieldsOf(fieldsOf(spec['template'])['spec'])['containers'])
    if (textOf(spec['image']) === '' && containers.length === 0) yield missingField('image')
  },
})

const unserved = (kind: string, plural: string, instead: string): KindDefinition<FormerSource> =>
  former<FormerSource>({
    kind,
    plural,
    description: `${kind} of 2019: kept, and not served here.`,
    instead,
  })

/** Kept with a condition that says that nobody serves them. */
export const unservedSources: readonly KindDefinition<FormerSource>[] = [
  unserved('GitHubSource', 'githubsources', 'a webhook of GitHub that is sent to a Broker'),
  unserved('KafkaSource', 'kafkasources', 'a program that reads from Kafka, in a ContainerSource'),
  unserved('MnsOssSource', 'mnsosssources', 'a program that reads from MNS, in a ContainerSource'),
  unserved(
    'AliTablestoreSource',
    'alitablestoresources',
    'a program that reads from Tablestore, in a ContainerSource',
  ),
  unserved('AwsSqsSource', 'awssqssources', 'a program that reads from SQS, in a ContainerSource'),
  unserved(
    'GcpPubSubSource',
    'gcppubsubsources',
    'a program that reads from Pub/Sub, in a ContainerSource',
  ),
  unserved('CamelSource', 'camelsources', 'a program with Camel, in a ContainerSource'),
  unserved('CouchDbSource', 'couchdbsources', 'a program that follows it, in a ContainerSource'),
  unserved(
    'PrometheusSource',
    'prometheussources',
    'a program that asks Prometheus, in a ContainerSource',
  ),
]

export const formerSourceKinds: readonly KindDefinition[] = [
  FormerApiServerSource,
  CronJobSource,
  FormerContainerSource,
  KubernetesEventSource,
  ...unservedSources,
].map((kind) => kind as unknown as KindDefinition)

/** What a CronJobSource sends, as everything in its spec says it. */
export interface CronJobPing {
  readonly schedule: string
  readonly timezone: string
  /** A JSON object as it is; other text in one. */
  readonly data: string
}

export function cronJobPing({ spec }: FormerSource): CronJobPing {
  const data = textOf(spec['data'])
  return {
    schedule: textOf(spec['schedule']),
    timezone: textOf(spec['timezone']),
    data: isJsonObject(data) ? data : JSON.stringify({ body: data }),
  }
}

function isJsonObject(text: string): boolean {
  try {
    return isFields(JSON.parse(text))
  } catch {
    return false
  }
}

export const cronJobAttributes = ({ metadata }: KubeObject) => ({
  type: cronJobEventType,
  source: `/apis/v1/namespaces/${metadata.namespace ?? ''}/cronjobsources/${metadata.name}`,
})
