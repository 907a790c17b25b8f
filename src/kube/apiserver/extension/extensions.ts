/**
 * What the API is extended by: kinds of CustomResourceDefinitions, admission webhooks, admission policies. One value that
 * the API server asks; each of the three is a folder or file beside this one.
 */
import { groupKind } from '../../api/kind.ts'
import type { KubeObject } from '../../api/meta.ts'
import type { ApiResponse, ObjectList, WatchEvent } from '../../api/protocol.ts'
import type { Store } from '../../store/store.ts'
import type { AdmissionPlugin, Machinery, Target } from '../machinery.ts'
import { isRecord } from '../values.ts'
import { AdmissionExtensions, type AdmissionMemory } from './admission/extensions.ts'
import type { WebhookConverter } from './conversion.ts'
import { Definitions } from './definitions.ts'
import { describeNativeKinds, nativeDeletion } from './native.ts'
import { WebhookCaller } from './webhook-caller.ts'

export type Operation = 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT'

/** What was asked outside for one request. */
export interface RequestMemory {
  admission?: AdmissionMemory
  /** What chance said in the runs before, so that a new object keeps its name and uid. */
  chance?: number[]
}

export interface Extensions extends Disposable {
  /** True when anyone is asked about anything. */
  readonly isAsking: boolean
  /** Admission of a kind that is part of extending: run after the kind's own. */
  readonly plugins: ReadonlyMap<string, AdmissionPlugin>
  /** The object as mutating webhooks want it. May throw `Awaiting`. */
  mutate(
    target: Target,
    operation: Operation,
    object: KubeObject,
    old: KubeObject | undefined,
    defaulted: () => KubeObject | undefined,
  ): KubeObject
  /** What `make` makes of `object`, made once for a request, however often its verb is run. */
  once(
    target: Target,
    operation: Operation,
    object: KubeObject,
    old: KubeObject | undefined,
    make: () => KubeObject,
  ): KubeObject
  /** Throws when a policy or a validating webhook refuses. May throw `Awaiting`. */
  validate(
    target: Target,
    operation: Operation,
    object: KubeObject | undefined,
    old?: KubeObject,
  ): void
  /** The machinery for one run of a verb that may be run again: chance repeats itself. */
  repeatable(machinery: Machinery, memory: RequestMemory): Machinery
  /** Runs a verb on a custom kind: watches end with the kind, webhooks convert what comes out. */
  run(
    target: Target,
    verb: (target: Target) => Promise<ApiResponse> | ApiResponse,
  ): Promise<ApiResponse>
}

/** Undefined when the server does not serve CustomResourceDefinitions. */
export function openExtensions(machinery: Machinery): Extensions | undefined {
  if (!machinery.registry.byKind('apiextensions.k8s.io', 'CustomResourceDefinition'))
    return undefined
  const webhooks = new WebhookCaller(machinery)
  const definitions = new Definitions(machinery, webhooks)
  describeNativeKinds(machinery)
  const admission = new AdmissionExtensions(machinery, webhooks)
  return {
    plugins: new Map([
      [groupKind(definitions.plugin.kind), definitions.plugin],
      ...admission.plugins.map((plugin) => [groupKind(plugin.kind), plugin] as const),
    ]),
    get isAsking() {
      return admission.isAsking
    },
    mutate: (target, operation, object, old, defaulted) =>
      admission.mutate(target, operation, object, old, defaulted),
    once: (target, operation, object, old, make) =>
      admission.isAsking ? admission.once({ target, operation, object, old }, make) : make(),
    validate(target, operation, object, old) {
      if (
        operation === 'DELETE' &&
        old &&
        isDefinition(target) &&
        definitions.isNative(target.name)
      )
        throw nativeDeletion(old.metadata.name)
      admission.validate(target, operation, object, old)
    },
    repeatable: (given, memory) => (admission.isAsking ? repeating(given, memory) : given),
    run,
    [Symbol.dispose]() {
      definitions[Symbol.dispose]()
      admission[Symbol.dispose]()
    },
  }
}

function repeating(machinery: Machinery, memory: RequestMemory): Machinery {
  const said = (memory.chance ??= [])
  let at = 0
  const random = { next: () => (said[at++] ??= machinery.random.next()) }
  return { ...machinery, random }
}

const isDefinition = ({ kind }: Target): boolean =>
  kind.kind === 'CustomResourceDefinition' && kind.group === 'apiextensions.k8s.io'

type Verb = (target: Target) => Promise<ApiResponse> | ApiResponse

async function run(target: Target, verb: Verb): Promise<ApiResponse> {
  const ending = target.request.verb === 'watch' ? endingWith(target) : target
  const converter = target.kind.custom?.converter
  return isWebhook(converter) ? converting(ending, converter, verb) : verb(ending)
}

const isWebhook = (converter: unknown): converter is WebhookConverter =>
  isRecord(converter) && converter['asks'] === true

/** A watch of a kind that may go. */
function endingWith(target: Target): Target {
  const { ended, request } = target
  if (!ended) return target
  const signal = request.signal ? AbortSignal.any([request.signal, ended]) : ended
  return { ...target, request: { ...request, signal } }
}

/**
 * Reads are answered in the stored version and converted afterwards, many at a time. Writes convert on the way in; what
 * they answer after the store has the object is converted last, so that nobody has to run a write twice.
 */
async function converting(
  target: Target,
  converter: WebhookConverter,
  verb: Verb,
): Promise<ApiResponse> {
  const { served, kind, request } = target
  if (!served) return verb(target)
  const apiVersion = `${kind.group}/${target.version}`
  const finish = async (objects: readonly KubeObject[]) =>
    (await converter.convertAll(objects, apiVersion)).map((object) => served.fromStorage(object))
  const reads = request.verb === 'get' || request.verb === 'list' || request.verb === 'watch'
  const tracked = trackWrites(target.machinery.store)
  const response = await verb({
    ...target,
    machinery: withStore(target.machinery, tracked.store),
    served: {
      ...served,
      schema: served.schema,
      toStorage: (object, warn) => served.toStorage(object, warn),
      fromStorage: (object) => (reads || tracked.wrote ? object : served.fromStorage(object)),
    },
  })
  const { body, events } = response
  if (events) return { ...response, events: convertedEvents(events, finish) }
  if (isList(body))
    return { ...response, body: { ...body, apiVersion, items: await finish(body.items) } }
  if (isObject(body) && body.kind === kind.kind) {
    const [object] = await finish([body])
    return { ...response, body: object }
  }
  return response
}

async function* convertedEvents(
  events: AsyncIterable<WatchEvent>,
  finish: (objects: readonly KubeObject[]) => Promise<readonly KubeObject[]>,
): AsyncGenerator<WatchEvent> {
  for await (const event of events) {
    if (event.type === 'BOOKMARK') yield event
    else {
      const [object] = await finish([event.object])
      if (object) yield { ...event, object }
    }
  }
}

const isObject = (body: unknown): body is KubeObject =>
  isRecord(body) && isRecord(body['metadata']) && typeof body['apiVersion'] === 'string'

const isList = (body: unknown): body is ObjectList =>
  isRecord(body) && Array.isArray(body['items']) && isRecord(body['metadata'])

/** The machinery with another store; its extensions are asked for anew each time, as they may not be open yet. */
function withStore(machinery: Machinery, store: Store): Machinery {
  return { ...machinery, store }
}

/** The store, and whether anything has been written through it. */
function trackWrites(store: Store): { readonly store: Store; readonly wrote: boolean } {
  let wrote = false
  return {
    get wrote() {
      return wrote
    },
    store: {
      get revision() {
        return store.revision
      },
      get compacted() {
        return store.compacted
      },
      get: (key) => store.get(key),
      list: (prefix, options) => store.list(prefix, options),
      count: (prefix) => store.count(prefix),
      put(key, object, expected) {
        const write = store.put(key, object, expected)
        wrote = true
        return write
      },
      delete(key, expected, last) {
        const write = store.delete(key, expected, last)
        wrote = true
        return write
      },
      watch: (prefix, after) => store.watch(prefix, after),
      subscribe: (listener) => store.subscribe(listener),
      flushed: () => store.flushed(),
      [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
    },
  }
}
