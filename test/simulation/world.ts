/**
 * The simulated world: what outlives a control plane (store, containers, gateway, the user) and the control plane
 * itself, made of the real parts: API server, Kubernetes' and Knative's controllers, node agent, autoscaler, gateway
 * feed. A crash ends it in the middle of whatever it does; everything hangs on one clock and one seed.
 */
import { coreKinds } from '../../src/kube/api/kinds.ts'
import type { KindDefinition, UserInfo } from '../../src/kube/api/kind.ts'
import { keyText, type ObjectKey } from '../../src/kube/api/meta.ts'
import type { Api } from '../../src/kube/api/protocol.ts'
import { StatusError } from '../../src/kube/api/status-error.ts'
import { createApiServer } from '../../src/kube/apiserver/api-server.ts'
import { createInformers } from '../../src/kube/client/informer.ts'
import { createRecorder } from '../../src/kube/client/recorder.ts'
import { typedClient, type TypedClient } from '../../src/kube/client/typed-client.ts'
import { startKubeControllers } from '../../src/kube/controllers/controllers.ts'
import type { Pod } from '../../src/kube/api/pod.ts'
import { startKubelet } from '../../src/kube/kubelet/kubelet.ts'
import { memoryStore } from '../../src/kube/store/memory-store.ts'
import type { Store } from '../../src/kube/store/store.ts'
import { silent, type Facts, type Log } from '../../src/lib/log.ts'
import { seededRandom, type Random } from '../../src/lib/random.ts'
import { podAddresses } from '../../src/platform/gateway/drain.ts'
import { leftEndpoints } from '../../src/platform/freezing.ts'
import { configMapAdmission } from '../../src/serving/api/config-maps.ts'
import { servingKinds } from '../../src/serving/api/kinds.ts'
import { createAutoscaler } from '../../src/serving/autoscaler/autoscaler.ts'
import { startServingControllers } from '../../src/serving/controllers/controllers.ts'
import { connectGateway } from '../../src/serving/controllers/ingress/feed-client.ts'
import { installServing } from '../../src/serving/controllers/install.ts'
import { SimClock } from '../../src/testing/sim-clock.ts'
import { Containers, noLogs } from './containers.ts'
import { SimGateway } from './gateway.ts'
import { Life, type Weather } from './life.ts'

export const kinds = [...coreKinds, ...servingKinds] as readonly KindDefinition[]

const controllerUser: UserInfo = {
  username: 'system:serviceaccount:kube-system:ebb',
  groups: ['system:masters', 'system:authenticated'],
}

/** Complaints of which a healthy platform has none, whatever happens to it. */
const alarming = new Set([
  'a request failed',
  'a handler of changes threw',
  'pod sync failed',
  'pod could not be ended',
  'bad message of the gateway',
  'informers did not sync',
])

interface WorldOptions {
  readonly seed: number
  /** Takes lines about what happens, for people who look for a fault. */
  readonly tell?: (line: string) => void
}

export class World {
  readonly clock = new SimClock()
  readonly random: Random
  readonly store: Store = memoryStore()
  readonly containers: Containers
  readonly gateway: SimGateway
  readonly weather: Weather = { latencyMs: 0, troubles: 0 }
  /** The user's client; refuses while there is no control plane. */
  readonly user: TypedClient
  /** The API, for watchers outside. */
  readonly api: Api
  /** What must never happen and did, each once. */
  readonly violations = new Set<string>()
  readonly #tell: (line: string) => void
  #life: Life | undefined
  #api: (Api & Disposable) | undefined
  #booted = false
  #connections = new AbortController()

  constructor({ seed, tell = () => {} }: WorldOptions) {
    this.random = seededRandom(seed)
    this.#tell = tell
    const { clock, random } = this
    this.containers = new Containers(clock, random)
    const violation = (text: string) => this.violation(text)
    this.gateway = new SimGateway({ clock, random, containers: this.containers, violation })
    this.api = {
      handle: (request) => {
        if (!this.#api) throw new StatusError('ServiceUnavailable', 'the control plane is down')
        return this.#api.handle(request)
      },
    }
    const user = { username: 'somebody', groups: ['system:masters', 'system:authenticated'] }
    this.user = typedClient(this.api, { user, durable: true })
  }

  /** Aborts when the control plane dies, and with it every connection to it. */
  get connections(): AbortSignal {
    return this.#connections.signal
  }

  get isUp(): boolean {
    return this.#life !== undefined
  }

  /** Everything has been started. */
  get isBooted(): boolean {
    return this.#booted
  }

  say(line: string): void {
    this.#tell(`${(this.clock.monotonic() / 1000).toFixed(3)} ${line}`)
  }

  violation(text: string): void {
    if (this.violations.has(text)) return
    this.violations.add(text)
    this.say(`VIOLATION ${text}`)
  }

  /** Starts a control plane, which boots while time goes on. */
  start(): void {
    if (this.#life) return
    const life = new Life(this.clock, this.random, this.weather)
    this.#life = life
    this.#boot(life).catch((error: unknown) => {
      if (!life.over) this.violation(`the control plane did not start: ${String(error)}`)
    })
  }

  /** Kills the control plane. Store, containers and gateway stay as they are. */
  crash(): void {
    this.#life?.end()
    this.#life = undefined
    this.#api?.[Symbol.dispose]()
    this.#api = undefined
    this.#booted = false
    this.gateway.abandoned()
    this.#connections.abort()
    this.#connections = new AbortController()
  }

  /** As platform/kube.ts and platform/serving.ts do it. */
  async #boot(life: Life): Promise<void> {
    const { random, store, containers, gateway: sim } = this
    const { clock } = life
    const log = this.#log(life)
    const api = createApiServer({
      store,
      kinds,
      clock,
      random,
      log,
      admission: [configMapAdmission],
    })
    this.#api = api
    const options = { user: controllerUser, durable: false }
    const calm = typedClient(life.api(api, true), options)
    const client = typedClient(life.api(api, false), options)
    const informers = createInformers({ client, clock, log })
    const recorder = createRecorder({ client, clock, random, log })
    const deps = { client, informers, clock, random, log, recorder }

    const link = connectGateway({
      socketPath: 'simulated',
      dial: sim.dial,
      source: {
        read: informers.reader(),
        synced: () => informers.synced(),
        onChange(kind, listener) {
          const subscription = informers.for(kind).subscribe((_type, object) => listener(object))
          return () => subscription[Symbol.dispose]()
        },
      },
      clock,
      log,
    })
    startKubeControllers({ ...deps, kinds })
    const drained = async (pod: Pod): Promise<void> => {
      await Promise.all(podAddresses(pod).map(({ host, port }) => link.drain(host, port)))
    }
    await startKubelet({
      ...deps,
      client: booting(life, calm, client, () => this.#booted),
      runtime: life.runtime(containers.runtime),
      images: containers.images,
      logs: noLogs,
      nodeName: 'ebb',
      dataDir: '/nowhere',
      probe: containers.probe,
      beforeStop: drained,
      beforeFreeze: async (pod, signal) => {
        await leftEndpoints(informers, pod, signal)
        if (!signal.aborted) await drained(pod)
      },
    })
    const gateway = { host: '127.0.0.1', port: 8080 }
    await installServing(calm, { domain: 'localhost', domainPort: 8080, gateway })
    let decided = (_key: ObjectKey) => {}
    const autoscaler = createAutoscaler({
      clock,
      onDecision: (text) => {
        const [namespace = '', name = ''] = text.split('/')
        decided({ namespace, name })
      },
    })
    autoscaler.start()
    const controllers = startServingControllers({
      ...deps,
      autoscaler,
      link,
      gateway,
      gatewayReady: () => link.connected,
      resolveDigest: (image) => containers.images.resolve(image),
    })
    decided = controllers.decided
    autoscaler.setConnected(link.connected)
    link.onConnected((connected) => autoscaler.setConnected(connected))
    link.onStats((stats) => autoscaler.record(stats))
    link.onWake((revision) => autoscaler.wake(keyText(revision)))
    await informers.synced()
    this.#booted = true
    this.say('control plane is up')
  }

  #log(life: Life): Log {
    const log: Log = {
      ...silent,
      error: (message, facts = {}) => {
        if (life.over) return
        this.say(`log: ${message} ${text(facts)}`)
        if (alarming.has(message) && !text(facts).includes('simulated'))
          this.violation(`log: ${message} ${text(facts)}`)
      },
      child: () => log,
    }
    return log
  }
}

/** Registering the node must go well, or the process would end at once; from then on anything may happen. */
function booting(
  life: Life,
  calm: TypedClient,
  client: TypedClient,
  booted: () => boolean,
): TypedClient {
  return new Proxy(client, {
    get: (_target, name) => Reflect.get(booted() && !life.over ? client : calm, name),
  })
}

const text = (facts: Facts): string =>
  JSON.stringify(facts, (_key, value: unknown) => (value instanceof Error ? value.message : value))
