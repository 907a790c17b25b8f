/** Sends what an ApiServerSource has seen to its sink; what is lost is an Event about the source. */
import type { Clock } from '../../../lib/clock.ts'
import type { Log } from '../../../lib/log.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'
import type { Destination } from '../../broker/feed.ts'
import { compileFilter, type FilterSpec } from '../../broker/delivery/filters.ts'
import type { Sender } from '../../broker/delivery/sender.ts'
import { emit } from '../emit.ts'
import {
  changeEvent,
  controllerInstead,
  guessedPlural,
  isOwnedBy,
  kubernetesEvent,
} from './change-event.ts'
import type { Tell } from './follow.ts'

export interface TellDeps {
  readonly sender: Sender
  readonly clock: Clock
  readonly log: Log
  readonly newId: () => string
  /** Tells the user about a source. */
  readonly lost: (source: KubeObject, reason: string) => void
}

export interface Telling {
  readonly about: KubeObject
  readonly mode: string
  /** Events as KubernetesEventSources of 2018 sent them. */
  readonly kubernetesEvents?: boolean
  /** URL of the API. */
  readonly apiUrl: string
  readonly owner?: { readonly apiVersion?: string; readonly kind?: string } | undefined
  readonly filters?: readonly FilterSpec[] | undefined
  readonly overrides: Readonly<Record<string, string>>
  /** Looked up for each event: pods come and go. */
  readonly sink: () => Destination
}

export function tellTo(
  { about, mode, kubernetesEvents, apiUrl, owner, filters, overrides, sink }: Telling,
  deps: TellDeps,
): Tell {
  const refuses = filters && compileFilter({ filters })
  return async (type, changed, followed, signal) => {
    if (!isOwnedBy(changed, owner)) return
    const instead = followed.controller === true && mode !== 'Resource'
    const object = instead ? controllerInstead(changed) : changed
    if (!object) return
    const resource = instead ? { ...followed, plural: guessedPlural(object.kind) } : followed
    const { clock, log, newId, lost } = deps
    const made = { mode, source: apiUrl, id: newId(), nowMs: clock.now(), overrides }
    const event = kubernetesEvents
      ? kubernetesEvent(type, object, made)
      : changeEvent(type, object, resource, made)
    if (!event || refuses?.(event)) return
    const { namespace = '', name } = about.metadata
    const outcome = await emit(event, namespace, sink(), { ...deps, signal })
    if (outcome.kind === 'accepted' || signal.aborted) return
    log.info('an event of a source was lost', { source: `${namespace}/${name}`, ...outcome })
    lost(about, outcome.reason)
  }
}
