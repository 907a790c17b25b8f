/** An Event tells what happened to an object, for people to read. */
import type { Event as EventType } from 'kubernetes-types/core/v1.js'
import type { KindDefinition } from './kind.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'

export type Event = Stored<EventType>

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
  columns: [],
  createOnUpdate: true,
}
