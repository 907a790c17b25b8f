/**
 * What all sources share: where their events go, what is added to each, and what a status says of it (knative.dev/pkg
 * duck/v1 Source). A source kind spreads the field groups into its own spec and status.
 */
import { invalidKeyName, missingField, via, type FieldError } from '../../../knative/field-error.ts'
import { statusFields } from '../../../knative/status.ts'
import { list, map, object, string, type Static } from '../../../kube/api/schema.ts'
import type { Column } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import { authFields } from './address-status.ts'
import { Destination, validateDestination } from './destination.ts'

export const CloudEventOverrides = object(
  {
    extensions: map(string(), {
      description: 'Attributes that are set on each event, over those it has.',
    }),
  },
  { description: 'What is changed in each event on its way out.' },
)
export type CloudEventOverrides = Static<typeof CloudEventOverrides>

/** Spread into the spec of a source. */
export const sourceSpecFields = { sink: Destination, ceOverrides: CloudEventOverrides }

export const SourceSpec = object(sourceSpecFields)
export type SourceSpec = Static<typeof SourceSpec>

export const CloudEventAttributes = object({
  type: string({ description: 'Type of the events.' }),
  source: string({ description: 'Source of the events.' }),
})
export type CloudEventAttributes = Static<typeof CloudEventAttributes>

/** Spread into the status of a source. */
export const sourceStatusFields = {
  ...statusFields,
  ...authFields,
  sinkUri: string({ description: 'Where events are sent.' }),
  sinkCACerts: string({ description: 'Certificates that the sink is trusted by, PEM.' }),
  sinkAudience: string({ description: 'Whom tokens for the sink are meant for.' }),
  ceAttributes: list(CloudEventAttributes, {
    description: 'Types and sources of the events that are sent.',
  }),
}

export const SourceStatus = object(sourceStatusFields)
export type SourceStatus = Static<typeof SourceStatus>

/** A source of whatever kind: what resolvers, followers and EventTypes need of it. */
export interface Source extends KubeObject {
  readonly spec?: SourceSpec
  readonly status?: SourceStatus
}

/**
 * Complaints about the shared fields, relative to `spec`. A sink is required unless `sink` is 'optional'; it may
 * carry no namespace but is then of the source's own.
 */
export function* validateSourceSpec(
  spec: SourceSpec,
  { sink = 'required' }: { readonly sink?: 'required' | 'optional' } = {},
): Generator<FieldError> {
  if (spec.sink && Object.keys(spec.sink).length > 0)
    yield* via('sink', validateDestination(spec.sink))
  else if (sink === 'required') yield missingField('sink')
  yield* via('ceOverrides', validateOverrides(spec.ceOverrides))
}

const overrideHelp = 'CloudEvent extension names must be alphanumeric'

function* validateOverrides(overrides: CloudEventOverrides | undefined): Generator<FieldError> {
  for (const name of Object.keys(overrides?.extensions ?? {}))
    if (!/^[a-zA-Z0-9]+$/.test(name))
      yield invalidKeyName(
        name,
        'extensions',
        name === '' ? 'CloudEvent extension names must not be empty' : overrideHelp,
      )
}

/** The Sink column that all sources have. */
export const sinkColumn: Column<Source> = {
  name: 'Sink',
  type: 'string',
  jsonPath: '.status.sinkUri',
  value: ({ status }) => status?.sinkUri,
}
