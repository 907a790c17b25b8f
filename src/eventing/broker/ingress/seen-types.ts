/**
 * The types of event that a channel has seen since its engine started, each once, for whoever makes EventTypes of them.
 * Bounded: a sender that makes up types fills it and no more. On the hot path: the usual event is like the one before.
 */
import type { CloudEvent } from '../../cloudevents/cloud-event.ts'

export interface SeenType {
  readonly type: string
  readonly source: string
  readonly dataschema: string
}

/** Of one channel. */
const mostTypes = 1_000
/** Of a type, its source and schema together: nobody looks longer ones up, and a thousand of them are to be held. */
const mostChars = 4_096

export class SeenTypes {
  readonly #seen = new Map<string, SeenType>()
  #last: SeenType = { type: '', source: '', dataschema: '' }

  note({ attributes }: CloudEvent): void {
    const { type = '', source = '', dataschema = '' } = attributes
    const last = this.#last
    if (type === last.type && source === last.source && dataschema === last.dataschema) return
    if (String(type).length + String(source).length + String(dataschema).length > mostChars) return
    const next = { type: String(type), source: String(source), dataschema: String(dataschema) }
    this.#last = next
    const key = JSON.stringify([next.type, next.source, next.dataschema])
    if (this.#seen.size < mostTypes && !this.#seen.has(key)) this.#seen.set(key, next)
  }

  list(): readonly SeenType[] {
    return [...this.#seen.values()]
  }
}
