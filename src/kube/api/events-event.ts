/**
 * Event as events.k8s.io/v1 has it: the very Events of the core group under other names of fields.
 * The API server translates requests for it, `apiserver/views.ts`.
 */
import { Event } from './event.ts'
import type { FieldReader, KindDefinition } from './kind.ts'
import type { KubeObject } from './meta.ts'
import { builtin } from './schema.ts'

/** Core name -> name in events.k8s.io. Fields that are not here have the same name in both. */
const renamed: Readonly<Record<string, string>> = {
  involvedObject: 'regarding',
  message: 'note',
  reportingComponent: 'reportingController',
  source: 'deprecatedSource',
  firstTimestamp: 'deprecatedFirstTimestamp',
  lastTimestamp: 'deprecatedLastTimestamp',
  count: 'deprecatedCount',
}
const original = Object.fromEntries(Object.entries(renamed).map(([core, name]) => [name, core]))

const rename = (
  object: KubeObject,
  names: Readonly<Record<string, string>>,
  apiVersion: string,
): KubeObject => ({
  ...(Object.fromEntries(
    Object.entries(object).map(([key, value]) => [names[key] ?? key, value]),
  ) as unknown as KubeObject),
  apiVersion,
})

/** A core Event in the words of events.k8s.io. */
export const toEventsEvent = (event: KubeObject): KubeObject =>
  rename(event, renamed, 'events.k8s.io/v1')

/** And back. */
export const toCoreEvent = (event: KubeObject): KubeObject => {
  const core = rename(event, original, 'v1')
  return 'involvedObject' in core ? core : ({ ...core, involvedObject: {} } as KubeObject)
}

/** A field selector's field in the words of the core group. */
export const coreEventField = (field: string): string => {
  const [first = '', ...rest] = field.split('.')
  return [original[first] ?? first, ...rest].join('.')
}

const asCore = (event: KubeObject): Event => toCoreEvent(event) as Event

export const EventsEvent: KindDefinition = {
  group: 'events.k8s.io',
  version: 'v1',
  kind: 'Event',
  plural: 'events',
  singular: 'event',
  shortNames: ['ev'],
  namespaced: true,
  description: Event.description,
  schema: builtin('io.k8s.api.events.v1.Event'),
  flavour: 'builtin',
  hasStatus: false,
  hasGeneration: false,
  columns: Event.columns.map((column) => ({
    ...column,
    value: (event: KubeObject, nowMs: number) => column.value(asCore(event), nowMs),
  })),
  selectableFields: Object.fromEntries(
    Object.entries<FieldReader<Event>>(Event.selectableFields ?? {}).map(([field, read]) => {
      const [first = '', ...rest] = field.split('.')
      return [
        [renamed[first] ?? first, ...rest].join('.'),
        (event: KubeObject) => read(asCore(event)),
      ]
    }),
  ),
}
