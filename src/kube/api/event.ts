/** Event: what happened to an object, for people to read. Not the same as a CloudEvent. */
import type { Event as EventType } from 'kubernetes-types/core/v1.js'
import type { Column, KindDefinition } from './kind.ts'
import { humanAge, humanDuration } from './printer.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'
import { refuseInvalid, required, tooLong, wrong, type Complaints } from './validation.ts'

export type Event = Stored<EventType, 'involvedObject'>

const lastSeen = (event: Event): string | undefined =>
  event.series?.lastObservedTime ??
  event.lastTimestamp ??
  event.eventTime ??
  event.firstTimestamp ??
  event.metadata.creationTimestamp

const firstSeen = (event: Event): string | undefined =>
  event.firstTimestamp ?? event.eventTime ?? event.metadata.creationTimestamp

const count = (event: Event): number => event.series?.count ?? event.count ?? 1

const columns: readonly Column<Event>[] = [
  {
    name: 'Last Seen',
    type: 'string',
    description: 'How long ago it last happened.',
    value: (event, nowMs) => {
      const last = humanAge(lastSeen(event), nowMs)
      const first = firstSeen(event)
      if (count(event) < 2 || !first) return last
      return `${last} (x${count(event)} over ${humanDuration(nowMs - Date.parse(first))})`
    },
  },
  { name: 'Type', type: 'string', description: 'Normal or Warning.', value: ({ type }) => type },
  {
    name: 'Reason',
    type: 'string',
    description: 'What happened, in one word.',
    value: ({ reason }) => reason,
  },
  {
    name: 'Object',
    type: 'string',
    description: 'The object that it happened to.',
    value: ({ involvedObject: { kind = '', name = '' } }) => `${kind.toLowerCase()}/${name}`,
  },
  {
    name: 'Subobject',
    type: 'string',
    priority: 1,
    description: 'The part of the object that it happened to.',
    value: ({ involvedObject }) => involvedObject.fieldPath ?? '',
  },
  {
    name: 'Source',
    type: 'string',
    priority: 1,
    description: 'Who tells it.',
    value: ({ source, reportingComponent = '', reportingInstance = '' }) => {
      const component = source?.component || reportingComponent
      const host = source?.host || reportingInstance
      return host ? `${component}, ${host}` : component
    },
  },
  {
    name: 'Message',
    type: 'string',
    description: 'What happened, in a sentence.',
    value: ({ message = '' }) => message.trim(),
  },
  {
    name: 'First Seen',
    type: 'string',
    priority: 1,
    description: 'How long ago it first happened.',
    value: (event, nowMs) => humanAge(firstSeen(event), nowMs),
  },
  {
    name: 'Count',
    type: 'string',
    priority: 1,
    description: 'How often it happened.',
    value: (event) => String(count(event)),
  },
  {
    name: 'Name',
    type: 'string',
    format: 'name',
    priority: 1,
    description: 'The name of the event object.',
    value: ({ metadata }) => metadata.name,
  },
]

export const Event: KindDefinition<Event> = {
  group: '',
  version: 'v1',
  kind: 'Event',
  plural: 'events',
  singular: 'event',
  shortNames: ['ev'],
  namespaced: true,
  description: 'An Event tells what happened to an object, for people to read.',
  schema: builtin<Event>('io.k8s.api.core.v1.Event'),
  flavour: 'builtin',
  hasStatus: false,
  hasGeneration: false,
  createOnUpdate: true,
  columns,
  selectableFields: {
    'involvedObject.kind': ({ involvedObject }) => involvedObject.kind ?? '',
    'involvedObject.namespace': ({ involvedObject }) => involvedObject.namespace ?? '',
    'involvedObject.name': ({ involvedObject }) => involvedObject.name ?? '',
    'involvedObject.uid': ({ involvedObject }) => involvedObject.uid ?? '',
    'involvedObject.apiVersion': ({ involvedObject }) => involvedObject.apiVersion ?? '',
    'involvedObject.resourceVersion': ({ involvedObject }) => involvedObject.resourceVersion ?? '',
    'involvedObject.fieldPath': ({ involvedObject }) => involvedObject.fieldPath ?? '',
    reason: ({ reason }) => reason ?? '',
    reportingComponent: ({ reportingComponent }) => reportingComponent ?? '',
    source: ({ source, reportingComponent }) => source?.component || (reportingComponent ?? ''),
    type: ({ type }) => type ?? '',
  },
  admit: (event) => refuseInvalid(Event, event, problems(event)),
}

function* problems({ metadata, involvedObject, message = '' }: Event): Complaints {
  if (involvedObject === undefined) return yield required('involvedObject')
  const about = involvedObject.namespace ?? ''
  const namespace = metadata.namespace ?? ''
  // What happens to cluster-scoped objects is told in the default namespace.
  if (about === '' ? namespace !== 'default' && namespace !== '' : about !== namespace)
    yield wrong('involvedObject.namespace', about, 'does not match event.namespace')
  if (message.length > 1024 * 1024) yield tooLong('message', 1024 * 1024)
}
