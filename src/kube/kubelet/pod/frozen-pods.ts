/**
 * All frozen pods of this node: what memory they keep, and which have to go when it is too much. The node says so in two
 * annotations; a pod that has to go is marked, and whoever had it frozen removes it.
 */
import type { Clock } from '../../../lib/clock.ts'
import type { Log } from '../../../lib/log.ts'
import { Node } from '../../api/node.ts'
import type { Client } from '../../client/client.ts'

export interface FrozenPodsDeps {
  readonly client: Client
  readonly clock: Clock
  readonly log: Log
  readonly nodeName: string
  /** Bytes that frozen pods may have together; asked anew each time. */
  readonly limitBytes: () => number
}

interface Frozen {
  readonly bytes: number
  readonly evict: () => void
  evicted: boolean
}

/** On the Node: how many pods are frozen, and how many bytes they keep. */
const countAnnotation = 'ebb.dev/frozen-pods'
const bytesAnnotation = 'ebb.dev/frozen-memory-bytes'
/** The node is told of changes no faster than this. */
const noteAfterMs = 1_000

export interface FrozenPods extends Disposable {
  /** A pod is frozen, with so many bytes. `evict` is called once, when it has to go. */
  put(uid: string, bytes: number, evict: () => void): void
  /** It is frozen no more. */
  remove(uid: string): void
  /** Looks again whether all have room: the limit may have changed. */
  enforce(): void
}

export function createFrozenPods(deps: FrozenPodsDeps): FrozenPods {
  const { client, clock, log, nodeName, limitBytes } = deps
  /** Oldest first. */
  const pods = new Map<string, Frozen>()
  let cancelNote: (() => void) | undefined

  const enforce = (): void => {
    const limit = limitBytes()
    const staying = [...pods.values()].filter(({ evicted }) => !evicted)
    let total = staying.reduce((sum, { bytes }) => sum + bytes, 0)
    for (const pod of staying) {
      if (total <= limit) return
      total -= pod.bytes
      pod.evicted = true
      pod.evict()
    }
  }

  const note = (): void => {
    cancelNote ??= clock.after(noteAfterMs, () => {
      cancelNote = undefined
      const bytes = [...pods.values()].reduce((sum, pod) => sum + pod.bytes, 0)
      const annotations = {
        [countAnnotation]: String(pods.size),
        [bytesAnnotation]: String(bytes),
      }
      client
        .patch(
          Node,
          { namespace: '', name: nodeName },
          { type: 'merge', body: { metadata: { annotations } } },
        )
        .catch((error: unknown) => log.error('frozen pods could not be noted', { error }))
    })
  }

  return {
    put(uid, bytes, evict) {
      const known = pods.get(uid)
      if (known?.bytes === bytes) return
      pods.set(uid, {
        bytes,
        evict,
        evicted: known?.evicted ?? false,
      })
      enforce()
      note()
    },
    remove(uid) {
      if (pods.delete(uid)) note()
    },
    enforce,
    [Symbol.dispose]: () => cancelNote?.(),
  }
}
