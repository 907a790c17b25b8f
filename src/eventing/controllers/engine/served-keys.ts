/** The objects a reconciler has looked at, to wake them when the engine has taken (or lost) something. */
import { keyText, type ObjectKey } from '../../../kube/api/meta.ts'
import type { EngineLink } from './engine-link.ts'

export interface ServedKeys {
  /** From now on the key is woken when the engine comes to serve one of `uids`, or ceases to. */
  seen(key: ObjectKey, uids: readonly string[]): void
  forget(key: ObjectKey): void
  connect(wake: (key: ObjectKey) => void): Disposable
}

export function createServedKeys(
  link: Pick<EngineLink, 'serves' | 'problemOf' | 'onServed'>,
): ServedKeys {
  const known = new Map<string, { key: ObjectKey; uids: readonly string[]; served: string }>()
  const stateOf = (uids: readonly string[]): string =>
    uids.map((uid) => link.problemOf(uid) ?? (link.serves(uid) ? '1' : '0')).join()
  return {
    seen: (key, uids) => void known.set(keyText(key), { key, uids, served: stateOf(uids) }),
    forget: (key) => void known.delete(keyText(key)),
    connect: (wake) =>
      link.onServed(() => {
        for (const { key, uids, served } of known.values()) if (stateOf(uids) !== served) wake(key)
      }),
  }
}
