/**
 * Sees everything while it happens, from outside the control plane: each change in the store, each event of watches
 * that are resumed after crashes, each request that ends. What must never happen it reports at once.
 */
import { apiVersionOf, type KindDefinition } from '../../src/kube/api/kind.ts'
import { controllerOf, keyOf, keyText, type KubeObject } from '../../src/kube/api/meta.ts'
import { Namespace } from '../../src/kube/api/namespace.ts'
import { Pod } from '../../src/kube/api/pod.ts'
import { hasReason } from '../../src/kube/api/status-error.ts'
import type { Change } from '../../src/kube/store/store.ts'
import { sleep } from '../../src/lib/clock.ts'
import { conditionOf } from '../../src/knative/conditions.ts'
import { Configuration } from '../../src/serving/api/configuration.ts'
import { Revision } from '../../src/serving/api/revision.ts'
import { Route } from '../../src/serving/api/route.ts'
import { Service } from '../../src/serving/api/service.ts'
import type { Ended } from './gateway.ts'
import { kinds, type World } from './world.ts'

/** After somebody tampered with an object, its service may be unreachable for so long. */
const mendingMs = 120_000

export const pluralOf = ({ group, plural }: { group: string; plural: string }): string =>
  group ? `${plural}.${group}` : plural

export class Witness {
  readonly #world: World
  /** uids of Services that have been ready. */
  readonly #ready = new Set<string>()
  /** `namespace/service` -> until when it may be in trouble. */
  readonly #mending = new Map<string, number>()
  /** Resource versions by key text, per kind, as a client that follows watches knows them. */
  readonly replicas = new Map<string, Map<string, string>>()
  /** Changes by key, since the last `forget`. */
  #writes = new Map<string, number>()

  constructor(world: World) {
    this.#world = world
    world.store.subscribe((change) => this.#changed(change))
    for (const kind of kinds) void this.#follow(kind)
  }

  /** Someone deleted a part of the service under it. */
  tampered(service: string): void {
    this.#mending.set(service, this.#world.clock.monotonic() + mendingMs)
    const [namespace = '', name = ''] = service.split('/')
    // What cannot be made again now, because the traffic is wrongly asked for, need not be there.
    this.#ready.delete(this.find(Service, namespace, name)?.metadata.uid ?? '')
  }

  get writes(): ReadonlyMap<string, number> {
    return this.#writes
  }

  forget(): void {
    this.#writes = new Map()
  }

  find<T extends KubeObject>(kind: KindDefinition<T>, namespace: string, name: string) {
    const key = `${pluralOf(kind)}/${kind.namespaced ? namespace : ''}/${name}`
    return this.#world.store.get(key) as T | undefined
  }

  all<T extends KubeObject>(kind: KindDefinition<T>): readonly T[] {
    return this.#world.store.list(`${pluralOf(kind)}/`).items as readonly T[]
  }

  /** A request that ended: only some ends are right. */
  ended(service: string, { host, revision, outcome, excused }: Ended): void {
    if (outcome === 'served' || (outcome === 'broken' && excused)) return
    const [namespace = '', name = ''] = service.split('/')
    if (!this.#isHere(namespace)) return
    if ((this.#mending.get(service) ?? -1) >= this.#world.clock.monotonic()) return
    const stored = this.find(Service, namespace, name)
    if (!stored || stored.metadata.deletionTimestamp) return
    if (outcome === 'broken') {
      const [, revisionName = ''] = revision?.split('/') ?? []
      if (this.find(Revision, namespace, revisionName))
        this.#world.violation(`a pod of ${revision} was stopped while it had requests`)
    } else if (outcome === 'gone') {
      const [, revisionName = ''] = revision?.split('/') ?? []
      const alive = this.find(Revision, namespace, revisionName)
      if (alive && !alive.metadata.deletionTimestamp)
        this.#world.violation(`the gateway has lost ${revision}, which exists`)
    } else if (this.#ready.has(stored.metadata.uid ?? ''))
      this.#world.violation(`${host} is not routed although ${service} has been ready`)
  }

  #isHere(namespace: string): boolean {
    const found = this.find(Namespace, '', namespace)
    return found !== undefined && !found.metadata.deletionTimestamp
  }

  #changed({ type, key, object, previous }: Change): void {
    this.#writes.set(key, (this.#writes.get(key) ?? 0) + 1)
    if (object.kind === 'Service' && object.apiVersion === apiVersionOf(Service)) {
      const service = object as Service
      if (type === 'DELETED') this.tampered(keyText(keyOf(object)))
      else if (conditionOf(service.status, 'Ready')?.status === 'True')
        this.#ready.add(object.metadata.uid ?? '')
    }
    if (object.kind === 'Revision' && type === 'DELETED') this.#revisionGone(object)
    if (object.kind === 'Pod' && type === 'DELETED') this.#podGone(object as Pod, previous)
  }

  /** A Revision may not go while somebody routes to it. */
  #revisionGone(revision: KubeObject): void {
    const { name, namespace = '' } = revision.metadata
    if (!this.#isHere(namespace)) return
    const owner = controllerOf(revision)
    const configuration = this.find(Configuration, namespace, owner?.name ?? '')
    if (configuration?.metadata.uid !== owner?.uid || configuration?.metadata.deletionTimestamp)
      return
    for (const route of this.all(Route)) {
      if (route.metadata.namespace !== namespace || route.metadata.deletionTimestamp) continue
      if ((this.#mending.get(keyText(keyOf(route))) ?? -1) >= this.#world.clock.monotonic())
        continue
      const service = this.find(Service, namespace, route.metadata.name)
      if (!service || service.metadata.deletionTimestamp) continue
      const targets = [...(route.spec.traffic ?? []), ...(route.status?.traffic ?? [])]
      if (targets.some(({ revisionName }) => revisionName === name))
        this.#world.violation(`revision ${namespace}/${name} was deleted while it had traffic`)
    }
  }

  /** A pod's process must end before the pod goes, unless somebody forced it. */
  #podGone(pod: Pod, previous: KubeObject | undefined): void {
    const grace = previous?.metadata.deletionGracePeriodSeconds
    if (grace === undefined || grace === 0) return
    const { uid = '' } = pod.metadata
    if (this.#world.containers.running.some(({ podUid }) => podUid === uid))
      this.#world.violation(`pod ${keyText(keyOf(pod))} went before its process`)
  }

  /** Watches a kind for ever, picking up where it was, as a client outside does. */
  async #follow(kind: KindDefinition): Promise<void> {
    const { clock, api } = this.#world
    const replica = new Map<string, string>()
    this.replicas.set(pluralOf(kind), replica)
    const request = {
      group: kind.group,
      version: kind.version,
      resource: kind.plural,
      user: { username: 'witness', groups: ['system:masters'] },
      durable: false,
    }
    let at: number | undefined
    for (;;) {
      try {
        if (at === undefined) {
          const { body } = await api.handle({ ...request, verb: 'list', options: {} })
          const list = body as {
            metadata: { resourceVersion: string }
            items: readonly KubeObject[]
          }
          at = Number(list.metadata.resourceVersion)
          replica.clear()
          for (const item of list.items)
            replica.set(keyText(keyOf(item)), item.metadata.resourceVersion ?? '')
        }
        const { events } = await api.handle({
          ...request,
          verb: 'watch',
          options: { resourceVersion: String(at) },
          signal: this.#world.connections,
        })
        for await (const { type, object } of events ?? []) {
          const revision = Number(object.metadata.resourceVersion)
          if (revision <= at)
            this.#world.violation(
              `a watch of ${kind.plural} went back from ${at} to ${revision} (${type} ${keyText(keyOf(object))})`,
            )
          at = revision
          const key = keyText(keyOf(object))
          if (type === 'ADDED' && replica.has(key))
            this.#world.violation(`${kind.plural} ${key} was added twice`)
          if (type === 'MODIFIED' && !replica.has(key))
            this.#world.violation(`${kind.plural} ${key} was modified before it was added`)
          if (type === 'DELETED') replica.delete(key)
          else if (type !== 'BOOKMARK') replica.set(key, String(revision))
        }
      } catch (error) {
        if (hasReason(error, 'Expired', 'Gone')) at = undefined
        else if (!hasReason(error, 'ServiceUnavailable'))
          this.#world.violation(`a watch of ${kind.plural} broke: ${String(error)}`)
      }
      await sleep(clock, 100)
    }
  }
}
