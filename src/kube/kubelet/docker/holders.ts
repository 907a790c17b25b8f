/**
 * The holders of pods: containers that have a pod's address and do nothing, so that its programs may come and go. One
 * that was killed, with the engine perhaps, is started again; the pod then has another address, which its sandbox shows.
 */
import { hostNetwork } from '../process/network.ts'
import type { Sandbox, SandboxSpec } from '../runtime.ts'
import { holderBody } from './container-body.ts'
import type { Engine, InspectedContainer } from './engine.ts'
import { EngineError } from './engine-http.ts'
import type { ImageLoader } from './image-loader.ts'
import { holderName, label, networkName } from './labels.ts'

/**
 * How pods are reached: at addresses of their own, where the engine's bridge is one of this machine; else by ports of
 * this machine's loopback, as with Docker Desktop or a rootless engine.
 */
export type Reach = 'addresses' | 'ports'

export interface Holder {
  readonly podUid: string
  /** Changes when the holder had to be started again. */
  readonly id: string
  readonly sandbox: Sandbox
}

export interface Holders {
  /** Makes the pod's holder, or answers the one there is. */
  hold(spec: SandboxSpec): Promise<Holder>
  /** Undefined for a pod that is not held. */
  find(podUid: string): Promise<Holder | undefined>
  /** Takes over the holder of a previous control plane. */
  adopt(seen: InspectedContainer): Promise<Holder>
  /** Starts it again if it does not run; answers whether that was so. */
  revive(holder: Holder): Promise<boolean>
  /** It is gone, or is about to. */
  forget(podUid: string): Promise<void>
}

export interface HoldersDeps {
  readonly engine: Engine
  readonly images: ImageLoader
  readonly platform: string
  readonly reach: Reach
  readonly create: (
    name: string,
    body: Readonly<Record<string, unknown>>,
    image: string,
  ) => Promise<string>
}

interface Held {
  readonly spec: SandboxSpec
  readonly holder: Holder
  id: string
  podIP: string
  readonly hostPorts: Readonly<Record<number, number>> | undefined
}

export function openHolders({ engine, images, platform, reach, create }: HoldersDeps): Holders {
  const network = networkName(platform)
  const loopback = hostNetwork([])
  const pods = new Map<string, Promise<Held>>()

  const held = (spec: SandboxSpec, seen: InspectedContainer): Held => {
    const { podUid } = spec
    const ports = isPublished(seen) ? seen.hostPorts : undefined
    const now: Held = {
      spec,
      id: seen.id,
      podIP: addressOf(seen),
      hostPorts: ports,
      holder: {
        podUid,
        get id() {
          return now.id
        },
        sandbox: {
          podUid,
          get podIP() {
            return now.podIP
          },
          ...(ports && { hostPorts: ports }),
        },
      },
    }
    return now
  }
  const addressOf = (seen: InspectedContainer): string =>
    isPublished(seen) ? '127.0.0.1' : (seen.addresses[network] ?? '')

  const begin = async (
    spec: SandboxSpec,
    hostPorts: Readonly<Record<number, number>>,
  ): Promise<InspectedContainer> => {
    const image = await images.ensureHolder()
    const body = holderBody(spec, { image, platform, network, reach, hostPorts })
    const name = holderName(platform, spec)
    const id = await inNetwork(() => create(name, body, image))
    try {
      await inNetwork(() => engine.startContainer(id))
      return await started(id)
    } catch (error) {
      await engine.remove(id)
      throw error
    }
  }

  /** Once more, if it failed because somebody had tidied up networks while no pod was in ours. */
  const inNetwork = async <T>(act: () => Promise<T>): Promise<T> => {
    try {
      return await act()
    } catch (error) {
      if (!(error instanceof EngineError)) throw error
      const { made } = await engine.ensureNetwork(network, { [label.platform]: platform })
      if (!made) throw error
      return await act()
    }
  }

  const started = async (id: string): Promise<InspectedContainer> => {
    const seen = await engine.inspect(id)
    if (!seen?.running) throw new Error(`the holder of the pod has ended: ${seen?.error ?? ''}`)
    return seen
  }

  const make = async (spec: SandboxSpec): Promise<Held> => {
    const { hostPorts = {} } = reach === 'ports' ? await loopback.acquire(spec.ports) : {}
    return held(spec, await begin(spec, hostPorts))
  }

  const find = async (podUid: string): Promise<Held | undefined> => await pods.get(podUid)

  return {
    async hold(spec) {
      let making = pods.get(spec.podUid)
      if (!making) {
        making = make(spec)
        pods.set(spec.podUid, making)
        making.catch(() => pods.delete(spec.podUid))
      }
      return (await making).holder
    },

    find: async (podUid) => (await find(podUid))?.holder,

    async adopt(seen) {
      const now = held(specOf(seen), seen)
      pods.set(now.spec.podUid, Promise.resolve(now))
      return now.holder
    },

    async revive({ podUid }) {
      const now = await find(podUid)
      const seen = now && (await engine.inspect(now.id))
      if (!now || seen?.running) return false
      if (seen) await inNetwork(() => engine.startContainer(now.id))
      const again = seen ? await started(now.id) : await begin(now.spec, now.hostPorts ?? {})
      now.id = again.id
      now.podIP = addressOf(again)
      return true
    },

    async forget(podUid) {
      const now = await find(podUid).catch(() => undefined)
      pods.delete(podUid)
      if (now?.hostPorts) await loopback.release({ podIP: now.podIP, hostPorts: now.hostPorts })
    },
  }
}

/** As it was made, which the present control plane might do otherwise: a bridge may appear with its first container. */
const isPublished = ({ labels }: InspectedContainer): boolean => labels[label.reach] === 'ports'

/** All that is to be known of a pod whose control plane was another. */
function specOf({ labels, hostPorts }: InspectedContainer): SandboxSpec {
  const [namespace = '', name = ''] = (labels[label.pod] ?? '').split('/')
  const ports = Object.keys(hostPorts).map(Number)
  return { podUid: labels[label.podUid] ?? '', namespace, name, ports }
}
