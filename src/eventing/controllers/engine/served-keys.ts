/**
 * What the engine has made of the objects that a reconciler has looked at: their keys are woken when it has taken one, or
 * lost it, or can't use it.
 */
import { keyText, type ObjectKey } from '../../../kube/api/meta.ts'
import type { EngineLink } from './engine-link.ts'

/** `served` = it has taken it and can use it; a text = it can not, and why. */
export type EngineState = 'served' | 'unknown' | { readonly problem: string }

/** Why something waits for the engine. */
export const engineNotReady = [
  'EngineNotReady',
  'the event engine has not taken it yet; it is told again until it has',
] as const

export interface ServedKeys {
  /** From now on the key is woken when the state of one of `uids` is another. */
  seen(key: ObjectKey, uids: readonly string[]): void
  /** Its state now; the key is woken when it is another. */
  stateOf(key: ObjectKey, uid: string): EngineState
  forget(key: ObjectKey): void
  connect(wake: (key: ObjectKey) => void): Disposable
}

export function createServedKeys(
  link: Pick<EngineLink, 'serves' | 'problemOf' | 'onServed'>,
): ServedKeys {
  const known = new Map<string, { key: ObjectKey; uids: readonly string[]; states: string }>()
  const stateOf = (uid: string): EngineState => {
    const problem = link.problemOf(uid)
    if (problem !== undefined) return { problem }
    return link.serves(uid) ? 'served' : 'unknown'
  }
  const statesOf = (uids: readonly string[]): string => JSON.stringify(uids.map(stateOf))
  const seen: ServedKeys['seen'] = (key, uids) =>
    void known.set(keyText(key), { key, uids, states: statesOf(uids) })
  return {
    seen,
    stateOf(key, uid) {
      seen(key, [uid])
      return stateOf(uid)
    },
    forget: (key) => void known.delete(keyText(key)),
    connect: (wake) =>
      link.onServed(() => {
        for (const { key, uids, states } of known.values()) if (statesOf(uids) !== states) wake(key)
      }),
  }
}
