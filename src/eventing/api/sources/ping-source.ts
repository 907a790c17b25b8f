/** PingSource: an event each time a schedule says so (sources.knative.dev/v1). */
import { admission } from '../../../knative/admission.ts'
import { conditionSet } from '../../../knative/conditions.ts'
import { invalidValue, multipleOneOf, via, type FieldError } from '../../../knative/field-error.ts'
import { partsOf, type Fields } from '../../../knative/old-form.ts'
import { ConfigMap } from '../../../kube/api/config-map.ts'
import type { AdmissionContext, KindDefinition } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import { object, string, type Static } from '../../../kube/api/schema.ts'
import { configPingDefaults } from '../config/ping-defaults.ts'
import { firstSourceVersion } from '../conversion/sources.ts'
import { definitionLabels, sourcesGroup, systemNamespace, validationWebhook } from '../names.ts'
import { neverComes, pingScheduleProblem } from './ping-schedule.ts'
import {
  olderVersions,
  registered,
  sourceColumns,
  sourceDefaults,
  sourceKindFields,
} from './source-kind.ts'
import { SourceStatus, sourceSpecFields, validateSourceSpec } from '../duck/source-spec.ts'

const pingSpecFields = {
  ...sourceSpecFields,
  schedule: string({
    description: 'Five cron fields, six with leading seconds, or @hourly and the like.',
  }),
  timezone: string({ description: 'In which the schedule is meant, by its IANA name.' }),
  contentType: string({ description: 'Media type of data.' }),
  data: string({ description: 'Data of each event.' }),
  dataBase64: string({ description: 'The same, where it is no text.' }),
}
export const PingSourceSpec = object(pingSpecFields)
export type PingSourceSpec = Static<typeof PingSourceSpec>

export interface PingSource extends KubeObject {
  readonly spec: PingSourceSpec
  readonly status?: SourceStatus
}

export const pingEventType = 'dev.knative.sources.ping'
export const pingEventSource = (namespace: string, name: string): string =>
  `/apis/v1/namespaces/${namespace}/pingsources/${name}`

const withDefaults = (source: PingSource): PingSource => ({
  ...source,
  spec: { ...source.spec, schedule: source.spec?.schedule || '* * * * *' },
})

function* validate(
  { spec }: PingSource,
  context: AdmissionContext<PingSource>,
): Generator<FieldError> {
  const { schedule = '', timezone = '' } = spec
  yield* via('spec', validateSourceSpec(spec))
  const problem = pingScheduleProblem(schedule, timezone)
  if (problem) yield invalidValue(problem.text, `spec.${problem.field}`)
  else if (neverComes(schedule))
    context.warn(`spec.schedule "${schedule}" names a day that no month has: it never sends`)
  const key = { namespace: systemNamespace, name: configPingDefaults.name }
  const { dataMaxSize } = configPingDefaults.from(context.read(ConfigMap, key))
  yield* via('spec', validateData(spec, dataMaxSize))
}

function* validateData(
  { data = '', dataBase64 = '', contentType = '' }: PingSourceSpec,
  maxBytes: number,
): Generator<FieldError> {
  if (data !== '' && dataBase64 !== '') {
    yield multipleOneOf('data', 'dataBase64')
    return
  }
  const [field, text] =
    dataBase64 === '' ? (['data', data] as const) : (['dataBase64', dataBase64] as const)
  if (text === '') return
  const bytes = new TextEncoder().encode(text).length
  if (maxBytes >= 0 && bytes > maxBytes)
    yield invalidValue(
      `the ${field} length of ${bytes} bytes exceeds limit set at ${maxBytes}.`,
      field,
    )
  const decoded = field === 'data' ? text : decodedText(text)
  if (decoded === undefined) yield invalidValue('illegal base64 data', field)
  else if (contentType === 'application/json') {
    const complaint = jsonObjectProblem(decoded)
    if (complaint !== undefined) yield invalidValue(complaint, field)
  }
}

/** Undefined = no base64; ends of lines in it are none of it. What is no UTF-8 in it is no matter here. */
function decodedText(wrapped: string): string | undefined {
  const base64 = wrapped.replaceAll(/[\r\n]/g, '')
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(base64))
    return undefined
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))
  return new TextDecoder().decode(bytes)
}

function jsonObjectProblem(text: string): string | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return undefined
    return 'data of content type application/json must be a JSON object; this is another value'
  } catch (error) {
    return error instanceof Error ? error.message : 'not JSON'
  }
}

export const pingSourceConditions = conditionSet({
  dependents: ['SinkProvided', 'Deployed', 'OIDCIdentityCreated'],
})

/** `jsonData` of the alphas: data of content type application/json. */
function fromJsonData(source: KubeObject): KubeObject {
  const next: KubeObject & { readonly spec: unknown } = {
    ...source,
    spec: todaysData(partsOf(source).spec),
  }
  return next
}

const todaysData = ({ jsonData, ...rest }: Fields): Fields => ({
  ...rest,
  ...(typeof jsonData === 'string' && { data: jsonData, contentType: 'application/json' }),
})

const schema = object({ spec: PingSourceSpec, status: SourceStatus })

export const PingSource: KindDefinition<PingSource> = {
  ...sourceKindFields,
  version: 'v1',
  kind: 'PingSource',
  plural: 'pingsources',
  singular: 'pingsource',
  description: 'Sends an event each time a schedule says so.',
  definition: {
    labels: definitionLabels.source,
    annotations: registered(pingEventType),
  },
  admit: admission({
    webhook: validationWebhook,
    defaults: sourceDefaults(withDefaults),
    validate,
  }),
  schema,
  columns: sourceColumns<PingSource>({
    name: 'Schedule',
    type: 'string',
    value: ({ spec }) => spec.schedule,
  }),
  versions: [
    ...olderVersions(sourcesGroup, 'v1', ['v1beta2'], schema),
    ...olderVersions(
      sourcesGroup,
      'v1',
      ['v1beta1', 'v1alpha2'],
      object({
        spec: object({ ...pingSpecFields, jsonData: string() }),
        status: SourceStatus,
      }),
      fromJsonData,
    ),
    firstSourceVersion('PingSource', todaysData),
  ],
}
