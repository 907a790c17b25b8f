/**
 * Kinds that are shown and not stored. Events of events.k8s.io are the core group's under other names: a request for them
 * is asked again in the core's words. What metrics.k8s.io shows is measured when somebody asks.
 */
import { coreEventField, EventsEvent, toCoreEvent, toEventsEvent } from '../api/events-event.ts'
import { Event } from '../api/event.ts'
import type { KindDefinition } from '../api/kind.ts'
import type { KubeObject } from '../api/meta.ts'
import { NodeMetrics, PodMetrics } from '../api/pod-metrics.ts'
import type { ApiRequest, ApiResponse, ObjectList, WatchEvent } from '../api/protocol.ts'
import { fieldMatcher, parseFieldSelector, parseLabelSelector } from '../api/selectors.ts'
import { notFound } from '../api/status-error.ts'
import { methodNotAllowed } from './machinery.ts'
import { fieldsOf, isRecord } from './values.ts'

/** What is used at the moment. Rejects with ServiceUnavailable where nobody measures. */
export interface UsageSource {
  pods(): Promise<readonly PodMetrics[]>
  nodes(): Promise<readonly NodeMetrics[]>
}

/** Answers a request for a view; undefined when it is for something stored. */
export function answerView(
  request: ApiRequest,
  usage: UsageSource | undefined,
  handle: (request: ApiRequest) => Promise<ApiResponse>,
): Promise<ApiResponse> | undefined {
  if (request.group === EventsEvent.group && request.version === EventsEvent.version)
    return request.resource === EventsEvent.plural ? throughCore(request, handle) : undefined
  if (request.group !== PodMetrics.group || !usage) return undefined
  if (request.resource === PodMetrics.plural)
    return measured(request, PodMetrics, () => usage.pods())
  if (request.resource === NodeMetrics.plural)
    return measured(request, NodeMetrics, () => usage.nodes())
  return undefined
}

async function measured(
  request: ApiRequest,
  kind: KindDefinition,
  measure: () => Promise<readonly KubeObject[]>,
): Promise<ApiResponse> {
  const { namespace = '', name = '', verb, options } = request
  if ((verb !== 'get' && verb !== 'list') || request.subresource) throw methodNotAllowed()
  const all = await measure()
  const here = all.filter(({ metadata }) => !namespace || metadata.namespace === namespace)
  if (verb === 'get') {
    const found = here.find(({ metadata }) => metadata.name === name)
    // The group belongs to the name here: `pods` alone would be another kind.
    if (!found) throw notFound(kind, namespace ? `${namespace}/${name}` : name)
    return { code: 200, body: found }
  }
  const labels = parseLabelSelector(options.labelSelector ?? '')
  const fields = fieldMatcher(parseFieldSelector(options.fieldSelector ?? ''), {})
  const list: ObjectList = {
    apiVersion: `${kind.group}/${kind.version}`,
    kind: `${kind.kind}List`,
    metadata: { resourceVersion: '' },
    items: here.filter((each) => labels(each.metadata.labels) && fields(each)),
  }
  return { code: 200, body: list }
}

async function throughCore(
  request: ApiRequest,
  handle: (request: ApiRequest) => Promise<ApiResponse>,
): Promise<ApiResponse> {
  const { fieldSelector } = request.options
  const answer = await handle({
    ...request,
    group: Event.group,
    version: Event.version,
    ...(request.body !== undefined && { body: coreBody(request) }),
    options: {
      ...request.options,
      ...(fieldSelector && {
        fieldSelector: parseFieldSelector(fieldSelector)
          .map(
            ({ field, operator, value }) => `${coreEventField(field)}${operator}${escaped(value)}`,
          )
          .join(','),
      }),
    },
  })
  const { body, events } = answer
  return {
    ...answer,
    ...(body !== undefined && { body: shownBody(body) }),
    ...(events && { events: shownEvents(events) }),
  }
}

const escaped = (value: string): string => value.replace(/[\\,=]/g, (each) => `\\${each}`)

const isObject = (value: unknown): value is KubeObject =>
  isRecord(value) && isRecord(value['metadata']) && value['kind'] === Event.kind

function coreBody({ verb, body, patchType }: ApiRequest): unknown {
  if (verb === 'create' || verb === 'update') return isRecord(body) ? asCore(body) : body
  // A patch has the shape of an object; JSON patches name fields by path, of which those that count are alike.
  return verb === 'patch' && patchType !== 'json' && isRecord(body) ? renamed(body) : body
}

const asCore = (body: Readonly<Record<string, unknown>>): unknown =>
  body['apiVersion'] === undefined || body['apiVersion'] === 'events.k8s.io/v1'
    ? toCoreEvent(body as unknown as KubeObject)
    : body

function renamed(patch: Readonly<Record<string, unknown>>): unknown {
  const entries = Object.entries(patch).map(([key, value]) => [coreEventField(key), value])
  const core: Record<string, unknown> = Object.fromEntries(entries)
  if (core['apiVersion'] === 'events.k8s.io/v1') core['apiVersion'] = 'v1'
  return core
}

function shownBody(body: unknown): unknown {
  if (isObject(body)) return toEventsEvent(body)
  const { kind, items } = fieldsOf(body)
  if (kind !== `${Event.kind}List` || !Array.isArray(items)) return body
  return { ...fieldsOf(body), apiVersion: 'events.k8s.io/v1', items: items.map(toEventsEvent) }
}

async function* shownEvents(events: AsyncIterable<WatchEvent>): AsyncIterable<WatchEvent> {
  for await (const { type, object } of events)
    yield {
      type,
      object:
        type === 'BOOKMARK' ? { ...object, apiVersion: 'events.k8s.io/v1' } : toEventsEvent(object),
    }
}
