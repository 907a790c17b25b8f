/**
 * EventTypes of sources (knative.dev/eventing `pkg/reconciler/source/duck`): what a source says it sends
 * (`status.ceAttributes`) into an object, where people look for it. They go with their source.
 */
import { apiVersionOf, type Kind } from '../../../kube/api/kind.ts'
import { controllerOf } from '../../../kube/api/meta.ts'
import type { Reconciler } from '../../../kube/controller/reconciler.ts'
import { md5 } from '../../../knative/hash.ts'
import { fieldsOf, listOf, textOf } from '../../../knative/old-form.ts'
import { EventType } from '../../api/eventing/event-type.ts'
import { eventingKinds } from '../../api/kinds.ts'
import type { CloudEventAttributes, Source } from '../../api/duck/source-spec.ts'
import { asToday, formerSourcesGroup } from '../../api/former/former-sources.ts'
import { readAs } from '../former/read-as.ts'
import { deletion, ownedMetadata } from '../flows/flow-objects.ts'
import { sourceKinds } from '../destination/followed-kinds.ts'

interface World {
  readonly source: Source
  readonly existing: readonly EventType[]
}

const sourceLabel = 'eventing.knative.dev/sourceName'
const registry = 'registry.knative.dev/eventTypes'

interface Registered {
  readonly schema?: string
  readonly description?: string
}

/** What the definition of the kind says of a type. */
function registered(kind: Kind, type: string): Registered {
  const definition = eventingKinds.find((each) => each === kind)?.definition
  const entries: unknown = JSON.parse(definition?.annotations?.[registry] ?? '[]')
  const found = fieldsOf(listOf(entries).find((each) => fieldsOf(each)['type'] === type))
  const schema = textOf(found['schema'])
  const description = textOf(found['description'])
  return { ...(schema && { schema }), ...(description && { description }) }
}

const sourceEventTypes = (kind: Kind<Source>): Reconciler<Source, World> => ({
  name: `${kind.plural}-eventtype-controller`,
  kind,
  watches: [{ kind: EventType, wake: 'owner' }],
  observe: (source, read) => ({ source, existing: read.owned(EventType, source) }),
  plan({ source, existing }) {
    const wanted = eventTypesOf(kind, source)
    const names = new Set(wanted.map(({ metadata }) => metadata.name))
    return {
      apply: wanted.map((desired) => ({ kind: EventType, desired })),
      delete: existing
        .filter(({ metadata }) => !names.has(metadata.name) && !metadata.deletionTimestamp)
        .filter((each) => controllerOf(each)?.uid === source.metadata.uid)
        .map((each) => deletion(EventType, each)),
    }
  },
})

/** One for each type and source, where events go to an object; a URI is nobody's registry. */
function eventTypesOf(kind: Kind, source: Source): readonly EventType[] {
  const { ref } = source.spec?.sink ?? {}
  if (!ref || source.metadata.deletionTimestamp) return []
  const { name: sourceName, namespace = '', uid = '' } = source.metadata
  const pairs = (source.status?.ceAttributes ?? []).filter(
    (each): each is Required<CloudEventAttributes> => Boolean(each.type && each.source),
  )
  return pairs.map(({ type, source: from }): EventType => {
    const { schema, description } = registered(kind, type)
    return {
      apiVersion: apiVersionOf(EventType),
      kind: EventType.kind,
      metadata: {
        ...ownedMetadata({ kind, object: source }, md5(type + from + (schema ?? '') + uid)),
        labels: { [sourceLabel]: sourceName },
      },
      spec: {
        type,
        source: from,
        ...(schema && { schema }),
        ...(description && { description }),
        reference: { ...ref, namespace: ref.namespace || namespace },
      },
    }
  })
}

export const sourceEventTypeReconcilers: readonly Reconciler<Source, World>[] = sourceKinds.map(
  (kind) => {
    const reconciler = sourceEventTypes(kind as Kind<Source>)
    return kind.group === formerSourcesGroup ? readAs(asToday, reconciler) : reconciler
  },
)
