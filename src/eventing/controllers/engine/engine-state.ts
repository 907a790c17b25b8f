/** What the engine has made of an object: wakes those who look at it when that changes. */
import { keyText, type ObjectKey } from '../../../kube/api/meta.ts'
import type { EngineLink } from './engine-link.ts'

/** `served` = it has taken it and can use it; a text = it can not, and why. */
export type EngineState = 'served' | 'unknown' | { readonly problem: string }

export interface EngineStates {
  /** Its state now; the key is woken when it is another. */
  of(key: ObjectKey, uid: string): EngineState
  forget(key: ObjectKey): void
  connect(wake: (key: ObjectKey) => void): Disposable
}

export function createEngineStates(
  link: Pick<EngineLink, 'serves' | 'problemOf' | 'onServed'>,
): EngineStates {
  const known = new Map<string, { key: ObjectKey; uid: string; seen: string }>()
  const stateOf = (uid: string): EngineState => {
    const problem = link.problemOf(uid)
    if (problem !== undefined) return { problem }
    return link.serves(uid) ? 'served' : 'unknown'
  }
  return {
    of(key, uid) {
      const state = stateOf(uid)
      known.set(keyText(key), { key, uid, seen: JSON.stringify(state) })
      return state
    },
    forget: (key) => void known.delete(keyText(key)),
    connect: (wake) =>
      link.onServed(() => {
        for (const { key, uid, seen } of known.values())
          if (JSON.stringify(stateOf(uid)) !== seen) wake(key)
      }),
  }
}
