/**
 * Follows objects of the API for ApiServerSources, with the rights of a service account, and tells each change on. What
 * is there at the beginning is no change; nor is what is listed again when history is gone (knative.dev/eventing
 * `pkg/adapter/apiserver`). A sink that is slow holds its watch back; events go out in the order of the changes of a
 * resource.
 */
import { sleep, type Clock } from '../../../lib/clock.ts'
import type { Log } from '../../../lib/log.ts'
import { apiVersionOf, type Kind, type UserInfo } from '../../../kube/api/kind.ts'
import { keyText, type KubeObject, type ObjectKey } from '../../../kube/api/meta.ts'
import type { WatchEvent } from '../../../kube/api/protocol.ts'
import { hasReason } from '../../../kube/api/status-error.ts'
import type { Client } from '../../../kube/client/client.ts'

/**
 * What of it a source wants. All plain values: equal ones are the same wish. Whom to tell is no part of it, and is read
 * when there is something to tell.
 */
export interface Wish {
  /** Whose: one that is made again under its name begins anew. */
  readonly uid?: string
  /** Missing rights and kinds are failures of following, as if rights had not been asked for first. */
  readonly unchecked?: boolean
  readonly account: { readonly namespace: string; readonly name: string }
  /** '' = all. */
  readonly namespaces: readonly string[]
  readonly resources: readonly Resource[]
}

export interface Resource {
  readonly group: string
  readonly version: string
  readonly kind: string
  readonly plural: string
  /** False: its objects are in no namespace, and all of them are followed. */
  readonly namespaced: boolean
  /** As text; '' = all. */
  readonly labelSelector: string
  /** What is told is not the object but the one that controls it. */
  readonly controller?: boolean
}

/** How it goes. */
export type FollowState =
  | { readonly kind: 'starting' }
  | { readonly kind: 'following' }
  /** What its account may not do, in words. */
  | { readonly kind: 'forbidden'; readonly missing: string }
  /** Why nothing can be followed, where rights are not asked for. */
  | { readonly kind: 'failed'; readonly problem: string }

export type ChangeType = 'add' | 'update' | 'delete'

export interface Followers extends AsyncDisposable {
  /**
   * From now on exactly that; undefined = nothing for now: what changes until it goes on is told then, as far as history
   * reaches. `tell` is called one change of a resource after another.
   */
  follow(key: ObjectKey, wish: Wish | undefined, tell?: Tell): void
  /** Its source is gone. */
  forget(key: ObjectKey): void
  stateOf(key: ObjectKey): FollowState
  /** Calls back when a state has become another. */
  onState(listener: (key: ObjectKey) => void): Disposable
}

export type Tell = (
  type: ChangeType,
  object: KubeObject,
  resource: Resource,
  signal: AbortSignal,
) => Promise<void>

export interface FollowersOptions {
  /** Requests come from this user. */
  readonly clientAs: (user: UserInfo) => Client
  readonly clock: Clock
  readonly log: Log
}

/** Until rights are asked for again: 500 ms, doubling, at most 10 s. */
const firstWaitMs = 500
const longestWaitMs = 10_000
/** Until a kind that nobody serves is looked for again. */
const unknownKindMs = 15_000
const watchSeconds = 300

export const accountUser = (namespace: string, name: string): UserInfo => ({
  username: `system:serviceaccount:${namespace}:${name}`,
  groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
})

export function createFollowers(options: FollowersOptions): Followers {
  const running = new Map<string, Follower>()
  /** How far each has come, kept while it does not run. */
  const places = new Map<string, Places>()
  const listeners = new Set<(key: ObjectKey) => void>()
  const ended = new Set<Promise<void>>()
  const stop = (follower: Follower) => {
    const end = follower.stop().finally(() => ended.delete(end))
    ended.add(end)
  }
  return {
    follow(key, wish, tell) {
      const name = keyText(key)
      const before = running.get(name)
      if (before && wish && tell && before.isFor(wish)) {
        before.tell = tell
        return
      }
      if (before) stop(before)
      running.delete(name)
      if (!wish || !tell) return
      const changed = () => {
        for (const listener of listeners) listener(key)
      }
      const known = places.get(name)
      const place = known && known.uid === wish.uid ? known : { uid: wish.uid, versions: new Map() }
      places.set(name, place)
      running.set(name, new Follower(wish, tell, changed, place.versions, options))
    },
    forget(key) {
      const name = keyText(key)
      const before = running.get(name)
      if (before) stop(before)
      running.delete(name)
      places.delete(name)
    },
    stateOf: (key) => running.get(keyText(key))?.state ?? { kind: 'starting' },
    onState(listener) {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
    async [Symbol.asyncDispose]() {
      listeners.clear()
      for (const follower of running.values()) stop(follower)
      running.clear()
      await Promise.all(ended)
    },
  }
}

interface Places {
  readonly uid: string | undefined
  /** Revision up to which all is told, by resource and namespace. */
  readonly versions: Map<string, string>
}

class Follower {
  state: FollowState = { kind: 'starting' }
  tell: Tell
  readonly #wish: Wish
  readonly #text: string
  readonly #changed: () => void
  readonly #versions: Map<string, string>
  readonly #options: FollowersOptions
  readonly #client: Client
  readonly #stop = new AbortController()
  readonly #ended: Promise<void>

  constructor(
    wish: Wish,
    tell: Tell,
    changed: () => void,
    versions: Map<string, string>,
    options: FollowersOptions,
  ) {
    this.#wish = wish
    this.#text = JSON.stringify(wish)
    this.tell = tell
    this.#changed = changed
    this.#versions = versions
    this.#options = options
    this.#client = options.clientAs(accountUser(wish.account.namespace, wish.account.name))
    this.#ended = this.#run()
  }

  isFor(wish: Wish): boolean {
    return JSON.stringify(wish) === this.#text
  }

  stop(): Promise<void> {
    this.#stop.abort()
    return this.#ended
  }

  #become(state: FollowState): void {
    if (this.#stop.signal.aborted || JSON.stringify(state) === JSON.stringify(this.state)) return
    this.state = state
    this.#changed()
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#options
    const { signal } = this.#stop
    let waitMs = firstWaitMs
    while (!signal.aborted) {
      try {
        const missing = await this.#missingRights()
        if (missing === undefined) {
          waitMs = firstWaitMs
          await this.#followAll()
        } else if (this.#wish.unchecked) this.#become({ kind: 'failed', problem: missing })
        else this.#become({ kind: 'forbidden', missing })
      } catch (error) {
        log.info('objects can not be followed, trying again', { error, waitMs })
      }
      await sleep(clock, waitMs, signal)
      waitMs = Math.min(waitMs * 2, longestWaitMs)
    }
  }

  /** Until it is stopped, or refused. */
  async #followAll(): Promise<void> {
    const round = new AbortController()
    const signal = AbortSignal.any([this.#stop.signal, round.signal])
    const begun: Promise<void>[] = []
    if (
      this.#wish.namespaces.length === 0 &&
      this.#wish.resources.every((each) => each.namespaced)
    ) {
      this.#become({ kind: 'following' })
      return await aborted(signal)
    }
    const all = this.#wish.resources.flatMap((resource) =>
      this.#namespacesOf(resource).map((namespace) => {
        const start = Promise.withResolvers<void>()
        begun.push(start.promise)
        // One that is refused ends the others: rights are asked for anew.
        return this.#followOne(resource, namespace, start.resolve, signal).finally(() => {
          start.resolve()
          round.abort()
        })
      }),
    )
    void Promise.all(begun).then(() => signal.aborted || this.#become({ kind: 'following' }))
    await Promise.all(all)
  }

  async #followOne(
    resource: Resource,
    namespace: string,
    begun: () => void,
    signal: AbortSignal,
  ): Promise<void> {
    const { clock, log } = this.#options
    const kind: Kind = resource
    const { labelSelector } = resource
    const selection = labelSelector === '' ? {} : { labelSelector }
    const versions = this.#versions
    const place = JSON.stringify([apiVersionOf(kind), kind.plural, labelSelector, namespace])
    while (!signal.aborted) {
      try {
        // Whoever may not any more gets nothing from the next watch on.
        if (!(await this.#may('watch', resource.group, resource.plural, namespace))) return
        let version = versions.get(place)
        version ??= (await this.#client.list(kind, namespace, { ...selection, limit: 1 })).metadata
          .resourceVersion
        if (version !== undefined) versions.set(place, version)
        const watch = { resourceVersion: version, allowWatchBookmarks: true }
        const events = await this.#client.watch(
          kind,
          namespace,
          { ...selection, ...watch, timeoutSeconds: watchSeconds },
          signal,
        )
        begun()
        for await (const { type, object } of events) {
          if (signal.aborted) return
          const change = changes[type]
          if (change) await this.tell(change, object, resource, signal)
          // Who goes on from here tells again what was given up in the middle.
          if (signal.aborted) return
          const { resourceVersion } = object.metadata
          if (resourceVersion !== undefined) versions.set(place, resourceVersion)
        }
      } catch (error) {
        if (signal.aborted) return
        if (this.#wish.unchecked && hasReason(error, 'NotFound')) {
          const problem = error instanceof Error ? error.message : 'unknown'
          this.#become({ kind: 'failed', problem })
          return
        }
        if (hasReason(error, 'Forbidden')) return
        begun()
        if (hasReason(error, 'Expired', 'Gone')) versions.delete(place)
        else if (hasReason(error, 'NotFound')) {
          log.info('nobody serves this kind of objects: it is skipped', {
            kind: `${apiVersionOf(kind)} ${kind.kind}`,
          })
          await sleep(clock, unknownKindMs, signal)
          continue
        } else log.info('a watch of a source broke and is begun again', { error })
        await sleep(clock, firstWaitMs, signal)
      }
    }
  }

  #namespacesOf({ namespaced }: Resource): readonly string[] {
    return namespaced ? this.#wish.namespaces : ['']
  }

  /** All rights that are missing, in Knative's words. */
  async #missingRights(): Promise<string | undefined> {
    const { username } = accountUser(this.#wish.account.namespace, this.#wish.account.name)
    const missing = new Map<string, string[]>()
    for (const resource of this.#wish.resources)
      for (const namespace of this.#namespacesOf(resource))
        for (const verb of ['get', 'list', 'watch']) {
          const { group, plural } = resource
          const what = `resource "${plural}" in API group "${group}" in Namespace "${namespace}"`
          if (await this.#may(verb, group, plural, namespace)) continue
          missing.set(what, [...(missing.get(what) ?? []), verb])
        }
    if (missing.size === 0) return undefined
    const texts = [...missing].map(([what, verbs]) => `${verbs.join(', ')} ${what}`)
    return `User ${username} cannot ${texts.join(', ')}`
  }

  async #may(verb: string, group: string, resource: string, namespace: string): Promise<boolean> {
    const body: KubeObject & { readonly spec: unknown } = {
      apiVersion: 'authorization.k8s.io/v1',
      kind: selfReview.kind,
      metadata: { name: '' },
      spec: { resourceAttributes: { verb, group, resource, namespace } },
    }
    const answer = (await this.#client.create(selfReview, body)) as KubeObject & {
      readonly status?: { readonly allowed?: boolean }
    }
    return answer.status?.allowed === true
  }
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })

/** The account asks for itself. */
const selfReview: Kind = {
  group: 'authorization.k8s.io',
  version: 'v1',
  kind: 'SelfSubjectAccessReview',
  plural: 'selfsubjectaccessreviews',
  namespaced: false,
}

const changes: Readonly<Partial<Record<WatchEvent['type'], ChangeType>>> = {
  ADDED: 'add',
  MODIFIED: 'update',
  DELETED: 'delete',
}
