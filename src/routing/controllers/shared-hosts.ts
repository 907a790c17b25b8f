/**
 * The hosts that HTTPRoutes and VirtualServices route, one or many a host: kept merged from the informers' caches, told to
 * the gateway, and asked by the reconcilers that write what became of each object. A change costs what it touches: the
 * objects that looked at what changed, and their hosts.
 */
import { hash } from 'node:crypto'
import type { Kind } from '../../kube/api/kind.ts'
import { keyOf, keyText, type KubeObject, type ObjectKey } from '../../kube/api/meta.ts'
import { Namespace } from '../../kube/api/namespace.ts'
import { Service as CoreService } from '../../kube/api/service.ts'
import { Ingress } from '../../serving/api/ingress.ts'
import { Revision } from '../../serving/api/revision.ts'
import { Route } from '../../serving/api/route.ts'
import { Service } from '../../serving/api/service.ts'
import type { FeedSource } from '../../serving/controllers/ingress/feed-client.ts'
import { createFacts, type FeedPart } from '../../serving/controllers/ingress/feed-part.ts'
import {
  ingressBackends,
  servicesOf,
  type TakenHosts,
} from '../../serving/controllers/ingress/ingress-view.ts'
import type { ServiceTargets } from '../../serving/controllers/ingress/service-targets.ts'
import { ingressRoute } from '../../serving/controllers/ingress/snapshot.ts'
import { createTracker, type Target } from '../../knative/tracker.ts'
import { GatewayClass } from '../api/gateway-class.ts'
import { Gateway } from '../api/gateway.ts'
import { httpRouteName } from '../api/http-route-spec.ts'
import { IstioGateway } from '../api/istio-gateway.ts'
import { ReferenceGrant } from '../api/reference-grant.ts'
import { virtualServiceName } from '../api/virtual-service-spec.ts'
import { HostOwners } from './host-owners.ts'
import { routeState, type RouteObject, type RouteState } from './route-state.ts'
import { everyName, lookup } from './seen.ts'
import { shareHost, type HostOwner, type SharedHost } from './shared-host.ts'

/** What has become of a route object. */
export interface Outcome {
  /** The generation that was looked at. */
  readonly generation: number
  readonly parents: RouteState['parents']
  readonly unknownGateways: RouteState['unknownGateways']
  readonly problems: RouteState['problems']
  /** Why it was left out on some of its hosts. */
  readonly refusals: readonly string[]
  /** Its hosts as they were told to the gateway. */
  readonly told: readonly { readonly key: ObjectKey; readonly hash: string }[]
}

export type RouteKind = 'HTTPRoute' | 'VirtualService'

export interface SharedHosts extends FeedPart, TakenHosts, Disposable {
  /** Undefined until the object has been looked at. */
  outcome(kind: RouteKind, key: ObjectKey): Outcome | undefined
  /** Objects whose outcome is other than before. */
  onOutcome(kind: RouteKind, listener: (key: ObjectKey) => void): Disposable
  /** Who stands on the shared host of this key of the gateway link, if it is one. */
  standingOn(kind: RouteKind, host: ObjectKey): readonly ObjectKey[]
  /** How many routes stand at a listener of a Gateway. */
  attachedRoutes(gateway: ObjectKey, listener: string): number
  onAttached(listener: (gateway: ObjectKey) => void): Disposable
}

/** No namespace has this name, so that no Ingress has such a key. */
const sharedNamespace = '~shared'

const routeKinds: Readonly<Record<RouteKind, Kind<RouteObject>>> = {
  HTTPRoute: httpRouteName as Kind<RouteObject>,
  VirtualService: virtualServiceName as Kind<RouteObject>,
}

const kindNames = [
  ['HTTPRoute', routeKinds.HTTPRoute],
  ['VirtualService', routeKinds.VirtualService],
] as const

/** Kinds that decide where a route leads. */
const lookedAt: readonly Kind[] = [
  Gateway,
  GatewayClass,
  IstioGateway,
  ReferenceGrant,
  Namespace,
  CoreService,
  Service,
  Route,
  Revision,
]

export function createSharedHosts(source: FeedSource, targets: ServiceTargets): SharedHosts {
  const { read } = source
  const facts = createFacts()
  const tracker = createTracker()
  const owners = new HostOwners(read)
  const states = new Map<string, { readonly state: RouteState; readonly generation: number }>()
  /** Host -> texts of the objects that want it. */
  const wanting = new Map<string, Set<string>>()
  const merged = new Map<string, { readonly shared: SharedHost; readonly hash: string }>()
  /** `namespace/name listener` -> texts of the routes there. */
  const attached = new Map<string, Set<string>>()
  const outcomes = new Map<string, { readonly outcome: Outcome; readonly text: string }>()
  const outcomeListeners = {
    HTTPRoute: new Set<KeyListener>(),
    VirtualService: new Set<KeyListener>(),
  }
  const attachedListeners = new Set<KeyListener>()
  const takenListeners = new Set<KeyListener>()
  const dirtyObjects = new Set<string>()
  const dirtyHosts = new Set<string>()
  let ready = false
  let flushing = false

  const flushSoon = () => {
    if (!ready || flushing) return
    flushing = true
    queueMicrotask(() => {
      flushing = false
      flush()
    })
  }

  const flush = () => {
    const touched = new Set<string>()
    const gateways = new Set<string>()
    for (const text of dirtyObjects) lookAt(text, touched, gateways)
    dirtyObjects.clear()
    for (const host of dirtyHosts) share(host, touched)
    dirtyHosts.clear()
    for (const text of touched) conclude(text)
    for (const gateway of gateways) notify(attachedListeners, parseKey(gateway))
  }

  /** Resolves an object anew, and marks its hosts. */
  const lookAt = (text: string, touched: Set<string>, gateways: Set<string>) => {
    const { kind, key } = parse(text)
    const object = read.get(routeKinds[kind], key)
    const before = states.get(text)?.state
    const seen: Target[] = []
    const state = object && routeState(object, lookup(read, seen))
    tracker.track(observerOf(text), seen)
    targets.name(text, state?.services ?? [])
    if (state) states.set(text, { state, generation: object.metadata.generation ?? 0 })
    else {
      states.delete(text)
      tracker.forget(observerOf(text))
    }
    for (const { host } of before?.rules.hosts ?? []) {
      dirtyHosts.add(host)
      drop(wanting, host, text)
    }
    for (const { host } of state?.rules.hosts ?? []) {
      dirtyHosts.add(host)
      put(wanting, host, text)
    }
    for (const [listeners, change] of [
      [before?.parents.flatMap((parent) => parent.listeners) ?? [], drop],
      [state?.parents.flatMap((parent) => parent.listeners) ?? [], put],
    ] as const)
      for (const listener of listeners) {
        change(attached, listener, text)
        gateways.add(listener.slice(0, listener.indexOf(' ')))
      }
    touched.add(text)
  }

  /** Merges a host anew and tells it. */
  const share = (host: string, touched: Set<string>) => {
    const texts = [...(wanting.get(host) ?? [])]
    const before = merged.get(host)
    const key = keyText({ namespace: sharedNamespace, name: host })
    const has = texts.length > 0 ? owners.of(host).map((ingress) => ownerOf(ingress, host)) : []
    const rules = texts.flatMap((text) => states.get(text)?.state.rules ?? [])
    const shared = shareHost(host, rules, has)
    if (shared.rules.length > 0) {
      const digest = hash('sha256', JSON.stringify(shared.rules), 'hex')
      merged.set(host, { shared, hash: digest })
      facts.tell({ type: 'ingress', ingress: { key, hash: digest, rules: shared.rules } })
      targets.name(key, servicesOf(shared.rules))
    } else {
      if (texts.length > 0) merged.set(host, { shared, hash: '' })
      else merged.delete(host)
      facts.tell({ type: 'ingress-gone', key })
      targets.name(key, [])
    }
    const [was, is] = [before?.shared.takenFrom ?? none, shared.takenFrom]
    if ([...was].some((one) => !is.has(one)) || [...is].some((one) => !was.has(one)))
      for (const ingress of owners.of(host)) notify(takenListeners, keyOf(ingress))
    for (const text of texts) touched.add(text)
  }

  const ownerOf = (ingress: Ingress, host: string): HostOwner => {
    const backend = ingressBackends(ingress, (key) => read.get(CoreService, key))
    const { rules } = ingressRoute(ingress, { backend, taken: (other) => other !== host })
    return { ingress, rules }
  }

  /** Says what has become of an object, when it is other than before. */
  const conclude = (text: string) => {
    const { kind, key } = parse(text)
    const known = states.get(text)
    if (!known) {
      outcomes.delete(text)
      return
    }
    const { state, generation } = known
    const hosts = [...new Set(state.rules.hosts.map(({ host }) => host))]
    const outcome: Outcome = {
      generation,
      parents: state.parents,
      unknownGateways: state.unknownGateways,
      problems: state.problems,
      refusals: hosts.flatMap((host) => merged.get(host)?.shared.refusals.get(text) ?? []),
      told: hosts.flatMap((host) => {
        const { shared, hash: digest = '' } = merged.get(host) ?? {}
        if (!digest || shared?.refusals.has(text)) return []
        return [{ key: { namespace: sharedNamespace, name: host }, hash: digest }]
      }),
    }
    const said = JSON.stringify(outcome)
    if (outcomes.get(text)?.text === said) return
    outcomes.set(text, { outcome, text: said })
    notify(outcomeListeners[kind], key)
  }

  const cancels = kindNames.map(([kind, name]) =>
    source.onChange(name, (object) => {
      const text = textOf(kind, keyOf(object))
      // A status that was written asks for nothing new.
      const { generation } = object.metadata
      const present = read.get(name, keyOf(object)) !== undefined
      if (
        present &&
        states.get(text)?.generation === generation &&
        sameAge(states.get(text), object)
      )
        return
      dirtyObjects.add(text)
      flushSoon()
    }),
  )
  for (const kind of lookedAt)
    cancels.push(
      source.onChange(kind, (object) => {
        const { namespace = '' } = object.metadata
        const any = { ...object, metadata: { name: everyName, namespace } }
        for (const observers of [tracker.observers(object), tracker.observers(any)])
          for (const { namespace: where, name } of observers) dirtyObjects.add(`${where}/${name}`)
        if (dirtyObjects.size > 0) flushSoon()
      }),
    )
  cancels.push(
    source.onChange(Ingress, (object) => {
      for (const host of owners.changed(keyOf(object))) if (wanting.has(host)) dirtyHosts.add(host)
      if (dirtyHosts.size > 0) flushSoon()
    }),
  )
  void source.synced().then(() => {
    ready = true
    for (const [kind, name] of kindNames)
      for (const object of read.list<KubeObject>(name, ''))
        dirtyObjects.add(textOf(kind, keyOf(object)))
    flush()
    facts.complete()
  })

  return {
    ...facts,
    taken: (host, { metadata }) =>
      merged.get(host)?.shared.takenFrom.has(metadata.namespace ?? '') ?? false,
    onTaken: (listener) => subscribe(takenListeners, listener),
    outcome: (kind, key) => outcomes.get(textOf(kind, key))?.outcome,
    onOutcome: (kind, listener) => subscribe(outcomeListeners[kind], listener),
    standingOn(kind, { namespace, name }) {
      if (namespace !== sharedNamespace) return []
      return [...(wanting.get(name) ?? [])]
        .map(parse)
        .filter((object) => object.kind === kind)
        .map(({ key }) => key)
    },
    attachedRoutes: (gateway, listener) =>
      attached.get(`${keyText(gateway)} ${listener}`)?.size ?? 0,
    onAttached: (listener) => subscribe(attachedListeners, listener),
    [Symbol.dispose]() {
      for (const cancel of cancels) cancel()
    },
  }
}

type KeyListener = (key: ObjectKey) => void

const none: ReadonlySet<string> = new Set()

/** An object that was deleted and made anew between two looks may bear the same generation. */
const sameAge = (known: { readonly state: RouteState } | undefined, { metadata }: KubeObject) =>
  known?.state.rules.source.creationTimestamp === (metadata.creationTimestamp ?? '')

const notify = (listeners: ReadonlySet<KeyListener>, key: ObjectKey) => {
  for (const listener of listeners) listener(key)
}

function subscribe(listeners: Set<KeyListener>, listener: KeyListener): Disposable {
  listeners.add(listener)
  return { [Symbol.dispose]: () => void listeners.delete(listener) }
}

function put(sets: Map<string, Set<string>>, key: string, member: string): void {
  const members = sets.get(key)
  if (members) members.add(member)
  else sets.set(key, new Set([member]))
}

function drop(sets: Map<string, Set<string>>, key: string, member: string): void {
  const members = sets.get(key)
  members?.delete(member)
  if (members?.size === 0) sets.delete(key)
}

/** `HTTPRoute default/shop`, as `sourceText` writes it. */
const textOf = (kind: RouteKind, key: ObjectKey): string => `${kind} ${keyText(key)}`

function parse(text: string): { readonly kind: RouteKind; readonly key: ObjectKey } {
  const space = text.indexOf(' ')
  const kind = text.slice(0, space) === 'VirtualService' ? 'VirtualService' : 'HTTPRoute'
  return { kind, key: parseKey(text.slice(space + 1)) }
}

function parseKey(text: string): ObjectKey {
  const [namespace = '', name = ''] = text.split('/')
  return { namespace, name }
}

/** An object as the tracker's observer: `keyText` of it is its text. */
function observerOf(text: string): ObjectKey {
  const slash = text.indexOf('/')
  return { namespace: text.slice(0, slash), name: text.slice(slash + 1) }
}
