/** The objects a reconciler has looked at, to wake them when the engine has taken (or lost) something. */
import { keyText, type ObjectKey } from '../../../kube/api/meta.ts'
import type { EngineLink } from './engine-link.ts'

export interface ServedKeys {
  /** From now on the key is woken when whether the engine serves `uid` differs from `served`. */
  seen(key: ObjectKey, uid: string, served: boolean): void
  forget(key: ObjectKey): void
  connect(wake: (key: ObjectKey) => void): Disposable
}

export function createServedKeys(link: EngineLink): ServedKeys {
  const known = new Map<string, { key: ObjectKey; uid: string; served: boolean }>()
  return {
    seen: (key, uid, served) => void known.set(keyText(key), { key, uid, served }),
    forget: (key) => void known.delete(keyText(key)),
    connect: (wake) =>
      link.onServed(() => {
        for (const { key, uid, served } of known.values())
          if (link.serves(uid) !== served) wake(key)
      }),
  }
}
