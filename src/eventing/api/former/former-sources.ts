/**
 * Sources of 2019, group sources.eventing.knative.dev/v1alpha1: accepted as they were written, with a warning that
 * names today's kind, and run as that. They are kept as they were written; what reads them asks for the same in today's
 * words (`asToday`).
 */
import { admission } from '../../../knative/admission.ts'
import { invalidValue, missingField, via, type FieldError } from '../../../knative/field-error.ts'
import {
  fieldsOf,
  isFields,
  listOf,
  partsOf,
  textOf,
  without,
  type Fields,
} from '../../../knative/old-form.ts'
import type { AdmissionContext, KindDefinition } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import { object } from '../../../kube/api/schema.ts'
import {
  validateApiServerSpec,
  withApiServerDefaults,
  type ApiServerSource,
} from '../sources/api-server-source.ts'
import { apiServerSpec, withTodaysSink } from '../conversion/sources.ts'
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
  /** Today's words for its spec, but its sink; default: the same. */
  readonly today?: (source: T) => T
  readonly validate?: (source: T) => Iterable<FieldError>
}

function former<T extends Source>({
  kind,
  plural,
  description,
  instead,
  today = (source) => source,
  validate = () => [],
}: Former<T>): KindDefinition<T> {
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
        const source = withOneSink(sent, context.old)
        return sourceDefaults<T>((each) => each, formerSourcesGroup)(source, context)
      },
      *validate(sent, { old }) {
        const source = today(withSinkOfToday(sent, old !== undefined))
        yield* via('spec', validateSourceSpec(source.spec ?? {}))
        yield* via('spec', validate(source))
      },
    }),
    schema,
    columns: sourceColumns<T>(),
  }
}

/** A patch that names the sink in another way than before leaves both in the object: the new one is what is meant. */
function withOneSink<T extends Source>(source: T, old: T | undefined): T {
  const { spec } = partsOf(source)
  const sink = fieldsOf(spec['sink'])
  if (!old || !isFields(sink['ref']) || !textOf(sink['kind'])) return source
  const had = fieldsOf(partsOf(old).spec['sink'])
  const meant = isFields(had['ref'])
    ? without(sink, 'ref')
    : without(sink, 'apiVersion', 'kind', 'name', 'namespace')
  return { ...source, spec: { ...spec, sink: meant } }
}

function withSinkOfToday<T extends Source>(source: T, patched: boolean): T {
  return { ...source, spec: withTodaysSink(partsOf(source).spec, patched) }
}

/** A source of this group in today's words: its sink has a `ref`. */
export const asToday = <T extends Source>(source: T): T => withSinkOfToday(source, true)

const apiServerToday = (source: ApiServerSource): ApiServerSource =>
  withApiServerDefaults({ ...source, spec: apiServerSpec(partsOf(source).spec) })

/** An ApiServerSource of this group in today's words; `controller` of a resource stays, for who follows. */
export const apiServerSourceAsToday = (source: ApiServerSource): ApiServerSource =>
  apiServerToday(asToday(source))

export const FormerApiServerSource = former<ApiServerSource>({
  kind: 'ApiServerSource',
  plural: 'apiserversources',
  description: 'Sends an event for each change of objects in the API; the form of 2019.',
  instead: 'sources.knative.dev/v1 ApiServerSource',
  today: apiServerToday,
  validate: ({ spec }) => withoutSink(validateApiServerSpec(spec)),
})

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
export function asApiServerSource(source: FormerSource): ApiServerSource {
  const { spec, ...rest } = asToday(source)
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
    if (spec['data'] !== undefined && typeof spec['data'] !== 'string')
      yield invalidValue(JSON.stringify(spec['data']), 'data', 'data is text; put JSON in quotes')
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
