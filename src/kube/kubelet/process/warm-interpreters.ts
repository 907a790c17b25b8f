/**
 * Keeps some Node processes started and idle for pods to come (launcher/warm-pool.ts does the starting). A process can't
 * change its network namespace from JavaScript, so where pods have one each, an idle interpreter waits inside a namespace
 * that is kept ready, and the next pod gets both. None are kept before the first Node program was started, and images
 * that turned out not to be Node get a namespace without.
 */
import type { Clock } from '../../../lib/clock.ts'
import type { Log } from '../../../lib/log.ts'
import type { Launcher } from './launcher-client.ts'
import type { WarmStart } from '../launcher/protocol.ts'
import type { Network, PodNetwork } from './network.ts'

/**
 * So long no program must have been coming up before another interpreter is started: it takes the CPU that they need, and
 * where one woke others often follow.
 */
const quietMs = 150
/** But no longer than this. */
const longestWaitMs = 5_000
/** When the platform starts, it needs the CPU itself. */
const firstWaitMs = 1_000
const maxImages = 1_000

export interface WarmInterpreters extends Disposable {
  /** A network for a pod of these images, with an interpreter inside if one is likely to be used. */
  acquire(podUid: string, ports: readonly number[], images: readonly string[]): Promise<PodNetwork>
  /** Where this start finds its interpreter; undefined when there is none. Notes whether the image could use one. */
  take(
    podUid: string,
    image: string,
    warm: Omit<WarmStart, 'place'> | undefined,
  ): WarmStart | undefined
  /** The interpreter at this place was not ready, and a new process was started instead. */
  missed(place: string): void
  /** The pod's network goes. */
  release(podUid: string): void
  /** So many programs are coming up at the moment. */
  starting(count: number): void
  /** The launcher was started anew and knows of none. */
  restarted(): void
}

export interface WarmInterpretersOptions {
  readonly launcher: Pick<Launcher, 'warm' | 'cool'>
  readonly network: Network
  /** How many are kept; 0 = none. */
  readonly size: number
  /** A Node program was started before, by a control plane that is gone. */
  readonly used?: boolean
  /** The first Node program is started. */
  readonly onUsed?: () => void
  /** Command line of an idle interpreter. */
  readonly argv: readonly string[]
  readonly clock: Clock
  readonly log: Log
}

/** Place of interpreters that share the machine's network. */
const shared = 'host'

export function warmInterpreters(options: WarmInterpretersOptions): WarmInterpreters {
  const { launcher, network, size, argv, clock, log } = options
  /** Interpreters that nobody has taken, a place each; in the shared network all at one. */
  const idle: string[] = []
  /** Places of pods that have not used their interpreter yet. */
  const held = new Map<string, string>()
  const isNode = new Map<string, boolean>()
  let used = options.used ?? false
  let cancel: (() => void) | undefined
  let waitingSince = 0
  let comingUp = 0

  const failed = (error: unknown) => log.error('idle interpreters could not be changed', { error })
  const cool = (place: string) => void launcher.cool(place).catch(failed)

  const fillLater = (waitMs = quietMs) => {
    if (!used || size === 0) return
    const now = clock.monotonic()
    if (!cancel) waitingSince = now
    cancel?.()
    const rest = Math.max(0, waitingSince + longestWaitMs - now)
    cancel = clock.after(comingUp > 0 ? rest : Math.min(waitMs, rest), () => {
      cancel = undefined
      fill()
    })
  }

  /** One after the other: they would take the CPU from each other, and from whoever wakes meanwhile. */
  const fill = () => {
    if (idle.length >= size) return
    const place = freePlace()
    if (place === undefined) return fillLater(firstWaitMs) // namespaces are being made
    idle.push(place.name)
    void launcher.warm(place.name, [...place.enter, ...argv]).catch(failed)
    if (idle.length < size) fillLater()
  }

  const freePlace = () => {
    if (network.mode === 'host') return { name: shared, enter: [] }
    const free = network.ready?.().find(({ netns }) => netns !== undefined && !idle.includes(netns))
    return free?.netns === undefined ? undefined : { name: free.netns, enter: network.enter(free) }
  }

  const remove = (place: string) => {
    const at = idle.indexOf(place)
    if (at >= 0) idle.splice(at, 1)
  }

  fillLater(firstWaitMs)

  return {
    async acquire(podUid, ports, images) {
      if (size === 0 || network.mode === 'host') return await network.acquire(ports)
      const wanted = images.length === 0 || images.some((image) => isNode.get(image) !== false)
      const found = await network.acquire(
        ports,
        ({ netns = '' }) => idle.includes(netns) === wanted,
      )
      const { netns } = found
      if (netns !== undefined && idle.includes(netns)) {
        remove(netns)
        held.set(podUid, netns)
        fillLater()
      }
      return found
    },

    take(podUid, image, warm) {
      if (size === 0) return undefined
      isNode.delete(image)
      isNode.set(image, warm !== undefined)
      if (isNode.size > maxImages)
        for (const oldest of isNode.keys()) {
          isNode.delete(oldest)
          break
        }
      const place = network.mode === 'host' && warm ? idle.shift() : held.get(podUid)
      held.delete(podUid)
      if (!warm) {
        if (place !== undefined) cool(place)
        if (cancel) fillLater() // later still
        return undefined
      }
      if (!used) options.onUsed?.()
      used = true
      fillLater()
      return place === undefined ? undefined : { ...warm, place }
    },

    missed(place) {
      if (network.mode === 'host') idle.push(place)
      else cool(place)
    },

    release(podUid) {
      const place = held.get(podUid)
      if (place === undefined) return
      held.delete(podUid)
      cool(place)
    },

    starting(count) {
      comingUp = count
      if (cancel) fillLater()
    },

    restarted() {
      idle.length = 0
      held.clear()
      fillLater()
    },

    [Symbol.dispose]() {
      cancel?.()
      cancel = undefined
      used = false
    },
  }
}
