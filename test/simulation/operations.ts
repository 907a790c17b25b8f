/**
 * What users, their clients and misfortune do to the platform: one random operation after another, each from the seed.
 * Operations speak to the API as kubectl does and may be refused; that is no fault.
 */
import { ConfigMap } from '../../src/kube/api/config-map.ts'
import { Deployment } from '../../src/kube/api/deployment.ts'
import { Endpoints } from '../../src/kube/api/endpoints.ts'
import { keyOf, keyText, type KubeObject } from '../../src/kube/api/meta.ts'
import type { KindDefinition } from '../../src/kube/api/kind.ts'
import { Namespace } from '../../src/kube/api/namespace.ts'
import { Pod } from '../../src/kube/api/pod.ts'
import { ReplicaSet } from '../../src/kube/api/replica-set.ts'
import { Service as CoreService } from '../../src/kube/api/service.ts'
import { StatusError } from '../../src/kube/api/status-error.ts'
import { randomInt } from '../../src/lib/random.ts'
import { conditionOf } from '../../src/knative/conditions.ts'
import { Ingress } from '../../src/serving/api/ingress.ts'
import { label } from '../../src/serving/api/names.ts'
import { PodAutoscaler } from '../../src/serving/api/pod-autoscaler.ts'
import { Revision } from '../../src/serving/api/revision.ts'
import { ServerlessService } from '../../src/serving/api/serverless-service.ts'
import { Service } from '../../src/serving/api/service.ts'
import type { TrafficTarget } from '../../src/serving/api/traffic-target.ts'
import type { Witness } from './witness.ts'
import type { World } from './world.ts'

export const namespaces = ['default', 'shop'] as const
const names = ['a', 'b', 'c'] as const
const goodImages = ['good:1', 'good:2', 'good:3', 'good:4', 'good:5', 'good:6']
const badImages = ['missing:1', 'exits:1', 'deaf:1']
/** Parts of a Service that its controllers make again. */
const mendable: readonly KindDefinition[] = [
  Deployment,
  ReplicaSet,
  Pod,
  Ingress,
  PodAutoscaler,
  ServerlessService,
  Endpoints,
  CoreService,
] as readonly KindDefinition[]

export class Operations {
  readonly #world: World
  readonly #witness: Witness
  /** Loads that are running, each with the function that ends it. */
  readonly #loads = new Set<() => void>()

  constructor(world: World, witness: Witness) {
    this.#world = world
    this.#witness = witness
  }

  /** Does something, and lets some time pass. */
  async step(): Promise<void> {
    const chosen = this.#weighted<() => unknown>([
      [8, () => this.#create()],
      [7, () => this.#newTemplate()],
      [6, () => this.#newTraffic()],
      [2, () => this.#delete()],
      [9, () => this.#load()],
      [2, () => this.silence()],
      [3, () => this.#crashContainer()],
      [4, () => this.#tamper()],
      [3, () => this.#annotate()],
      [1, () => this.#deleteNamespace()],
      [2, () => this.#createNamespace()],
      [3, () => this.#crash()],
      [2, () => this.#disconnect()],
      [2, () => this.#slowAcks()],
      [2, () => this.#changeWeather()],
    ])
    await this.#attempt(chosen)
    const { clock, random } = this.#world
    await clock.advance(
      this.#weighted([
        [4, 0],
        [4, randomInt(random, 30)],
        [4, randomInt(random, 1_000)],
        [4, randomInt(random, 10_000)],
        [1, randomInt(random, 150_000)],
      ]),
    )
  }

  /** In half of all lives Revisions without traffic go as soon as they may, so that collection is seen at work. */
  async collectEagerly(): Promise<void> {
    if (!this.#chance(0.5)) return
    this.#world.say('revisions without traffic are collected at once')
    const data = {
      'min-non-active-revisions': '0',
      'max-non-active-revisions': '0',
      'retain-since-create-time': 'disabled',
      'retain-since-last-active-time': 'disabled',
    }
    const key = { namespace: 'knative-serving', name: 'config-gc' }
    await this.#world.user.patch(ConfigMap, key, { type: 'merge', body: { data } })
  }

  /** The end of all trouble: from here on everything must come right by itself. */
  async heal(): Promise<void> {
    const { gateway, weather, clock } = this.#world
    this.silence()
    weather.latencyMs = 0
    weather.troubles = 0
    gateway.ackDelayMs = 0
    gateway.reachable = true
    this.#world.start()
    for (let waited = 0; !this.#world.isBooted && waited < 60; waited++) await clock.advance(1_000)
    await clock.advance(600_000) // a namespace may still be waiting for its pods
    await this.#createNamespace('default')
    await this.#createNamespace('shop')
  }

  /** All clients go away. */
  silence(): void {
    for (const stop of this.#loads) stop()
    this.#loads.clear()
  }

  /** One request to a service; resolves false when it is not answered in time. */
  async knock(service: Service, withinMs: number): Promise<boolean> {
    let served = false
    this.#world.gateway.request(hostOf(service), 50, ({ outcome }) => {
      served = outcome === 'served'
    })
    await this.#world.clock.advance(withinMs)
    return served
  }

  async #create(): Promise<void> {
    const namespace = this.#one(namespaces)
    const name = this.#one(names)
    this.#world.say(`create ${namespace}/${name}`)
    await this.#world.user.create<Service>(Service, {
      apiVersion: 'serving.knative.dev/v1',
      kind: 'Service',
      metadata: { namespace, name },
      spec: { template: this.#template() },
    })
  }

  async #newTemplate(): Promise<void> {
    const service = await this.#service()
    if (!service) return
    const template = this.#template()
    this.#world.say(`update ${keyText(keyOf(service))} to ${JSON.stringify(template)}`)
    await this.#world.user.update(Service, { ...service, spec: { ...service.spec, template } })
  }

  async #newTraffic(): Promise<void> {
    const service = await this.#service()
    if (!service) return
    const { namespace = '', name } = service.metadata
    const { items } = await this.#world.user.list(Revision, namespace, {
      labelSelector: `${label.service}=${name}`,
    })
    const targets: TrafficTarget[] = []
    let left = 100
    const count = 1 + randomInt(this.#world.random, 3)
    for (let at = 0; at < count; at++) {
      const last = at === count - 1
      const percent = last ? left : randomInt(this.#world.random, left + 1)
      left -= percent
      const pinned = items.length > 0 && this.#chance(0.6) ? this.#one(items) : undefined
      targets.push({
        percent,
        ...(pinned
          ? { revisionName: pinned.metadata.name, latestRevision: false }
          : { latestRevision: true }),
        ...(this.#chance(0.4) && { tag: `tag-${at}` }),
      })
    }
    if (this.#chance(0.03)) targets.push({ revisionName: `${name}-none`, tag: 'none' })
    this.#world.say(`traffic of ${namespace}/${name}: ${JSON.stringify(targets)}`)
    await this.#world.user.update(Service, {
      ...service,
      spec: { ...service.spec, traffic: targets },
    })
  }

  async #delete(): Promise<void> {
    const service = await this.#service()
    if (!service) return
    const propagationPolicy = this.#chance(0.3) ? 'Foreground' : 'Background'
    this.#world.say(`delete ${keyText(keyOf(service))} (${propagationPolicy})`)
    await this.#world.user.delete(Service, keyOf(service), { propagationPolicy })
  }

  /** Clients that always have so many requests open, for a while. */
  #load(): void {
    const services = this.#witness.all(Service)
    if (services.length === 0) return
    const service = this.#one(services)
    const { random, clock, gateway } = this.#world
    const host = hostOf(service)
    const text = keyText(keyOf(service))
    const atOnce = 1 + randomInt(random, this.#chance(0.3) ? 40 : 5)
    const busyMs = 5 + randomInt(random, 2_000)
    const forMs = this.#chance(0.3) ? 100 : randomInt(random, 60_000)
    this.#world.say(`load on ${text}: ${atOnce} of ${busyMs} ms for ${forMs} ms`)
    let open = 0
    let over = false
    const tick = () => {
      if (over) return
      // Requests can end at once: the missing ones are asked anew only a moment later.
      for (let missing = atOnce - open; missing > 0; missing--) {
        open++
        gateway.request(host, busyMs, (ended) => {
          open--
          this.#witness.ended(text, ended)
        })
      }
      clock.after(100, tick)
    }
    const stop = () => {
      over = true
    }
    this.#loads.add(stop)
    clock.after(forMs, () => {
      stop()
      this.#loads.delete(stop)
    })
    tick()
  }

  #crashContainer(): void {
    const { running } = this.#world.containers
    if (running.length === 0) return
    const process = this.#one(running)
    this.#world.say(`a container crashes (${process.image})`)
    this.#world.containers.crash(process)
  }

  /** Somebody deletes what controllers made. */
  async #tamper(): Promise<void> {
    const kind = this.#one(mendable)
    const objects = this.#witness
      .all(kind)
      .filter(
        ({ metadata }) =>
          metadata.ownerReferences !== undefined &&
          namespaces.some((known) => known === metadata.namespace),
      )
    if (objects.length === 0) return
    const object = this.#one(objects)
    this.#world.say(`somebody deletes ${object.kind} ${keyText(keyOf(object))}`)
    this.#tampered(object)
    await this.#world.user.delete(kind, keyOf(object))
  }

  /** Somebody writes to an object that controllers write to as well. */
  async #annotate(): Promise<void> {
    const kind = this.#one([...mendable, Service, Revision] as readonly KindDefinition[])
    const objects = this.#witness
      .all(kind)
      .filter(({ metadata }) => namespaces.some((known) => known === metadata.namespace))
    if (objects.length === 0) return
    const object = this.#one(objects)
    const value = String(randomInt(this.#world.random, 1_000))
    this.#world.say(`somebody annotates ${object.kind} ${keyText(keyOf(object))}`)
    const body = { metadata: { annotations: { 'example.com/note': value } } }
    await this.#world.user.patch(kind, keyOf(object), { type: 'merge', body })
    if (kind.kind !== 'Deployment' || !this.#chance(0.5)) return
    this.#world.say('and scales it')
    const scale = { spec: { replicas: randomInt(this.#world.random, 4) } }
    await this.#world.user.patch(kind, keyOf(object), { type: 'merge', body: scale })
  }

  #tampered({ metadata }: KubeObject): void {
    const { namespace = '', labels, name } = metadata
    const owner = labels?.[label.service] ?? name
    this.#witness.tampered(`${namespace}/${owner}`)
    for (const known of names) this.#witness.tampered(`${namespace}/${known}`)
  }

  async #deleteNamespace(): Promise<void> {
    this.#world.say('delete namespace shop')
    await this.#world.user.delete(Namespace, { namespace: '', name: 'shop' })
  }

  async #createNamespace(name = 'shop'): Promise<void> {
    const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name } }
    await this.#attempt(() => this.#world.user.create<Namespace>(Namespace, namespace))
  }

  /** kill -9 of the control plane, after some microtasks more or less; it is started again a while later. */
  async #crash(): Promise<void> {
    const { random, clock } = this.#world
    if (!this.#world.isUp) return this.#world.start()
    for (let tick = randomInt(random, 60); tick > 0; tick--) await Promise.resolve()
    this.#world.say('the control plane is killed')
    this.#world.crash()
    clock.after(
      this.#weighted([
        [3, 0],
        [3, randomInt(random, 2_000)],
        [2, randomInt(random, 60_000)],
      ]),
      () => this.#world.start(),
    )
  }

  #disconnect(): void {
    const { gateway, random, clock } = this.#world
    this.#world.say('the gateway is disconnected')
    gateway.reachable = false
    gateway.disconnect()
    clock.after(randomInt(random, this.#chance(0.3) ? 60_000 : 500), () => {
      gateway.reachable = true
    })
  }

  #slowAcks(): void {
    const { gateway, random } = this.#world
    gateway.ackDelayMs = this.#chance(0.5) ? 0 : randomInt(random, 5_000)
    this.#world.say(`acknowledgements take ${gateway.ackDelayMs} ms`)
  }

  #changeWeather(): void {
    const { weather, random } = this.#world
    weather.latencyMs = this.#chance(0.5) ? 0 : randomInt(random, 50)
    weather.troubles = this.#chance(0.6) ? 0 : random.next() * 0.3
    this.#world.say(`weather: ${JSON.stringify(weather)}`)
  }

  #template(): Service['spec']['template'] {
    const { random } = this.#world
    const image = this.#chance(0.85) ? this.#one(goodImages) : this.#one(badImages)
    const annotations: Record<string, string> = {
      'serving.knative.dev/progress-deadline': '300s',
    }
    const min = randomInt(random, 3)
    if (this.#chance(0.25)) annotations['autoscaling.knative.dev/min-scale'] = String(min)
    if (this.#chance(0.3))
      annotations['autoscaling.knative.dev/max-scale'] = String(min + 1 + randomInt(random, 4))
    if (this.#chance(0.3)) annotations['autoscaling.knative.dev/window'] = '10s'
    if (this.#chance(0.1)) annotations['autoscaling.knative.dev/scale-down-delay'] = '20s'
    if (this.#chance(0.1))
      annotations['autoscaling.knative.dev/target-burst-capacity'] = this.#one(['0', '-1'])
    if (this.#chance(0.4)) annotations['ebb.dev/freeze-for'] = this.#one(['0s', '20s', '2m'])
    const containerConcurrency = this.#one([undefined, undefined, 1, 4, 10])
    return {
      metadata: { annotations },
      spec: {
        containers: [{ name: 'user-container', image }],
        ...(containerConcurrency !== undefined && { containerConcurrency }),
      },
    }
  }

  async #service(): Promise<Service | undefined> {
    const { items } = await this.#world.user.list(Service, '')
    return items.length > 0 ? this.#one(items) : undefined
  }

  async #attempt(run: () => unknown): Promise<void> {
    try {
      await run()
    } catch (error) {
      if (!(error instanceof StatusError)) throw error
      this.#world.say(`refused: ${error.message}`)
      if (error.code === 500) this.#world.violation(`an operation failed: ${error.message}`)
    }
  }

  #chance(share: number): boolean {
    return this.#world.random.next() < share
  }

  #one<T>(things: readonly T[]): T {
    const thing = things[randomInt(this.#world.random, things.length)]
    return thing as T
  }

  #weighted<T>(choices: readonly (readonly [number, T])[]): T {
    const total = choices.reduce((sum, [weight]) => sum + weight, 0)
    let dice = this.#world.random.next() * total
    for (const [weight, thing] of choices) if ((dice -= weight) < 0) return thing
    const [first] = choices
    if (!first) throw new Error('nothing to choose from')
    return first[1]
  }
}

export const hostOf = ({ metadata }: KubeObject): string =>
  `${metadata.name}.${metadata.namespace}.localhost`

/** Whether a template's program works. */
export const isGood = ({ spec }: Service['spec']['template']): boolean =>
  spec?.containers?.[0]?.image?.startsWith('good') ?? false

export const isReady = (object: { readonly status?: Parameters<typeof conditionOf>[0] }): boolean =>
  conditionOf(object.status, 'Ready')?.status === 'True'
