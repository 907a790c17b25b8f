/**
 * A set of strings that is read in order. Sorting waits for the next read: a burst of writes then costs one merge, and
 * single writes between reads cost one insertion into an array, which at 50,000 keys is a few microseconds.
 */
export class SortedKeys {
  #keys: string[] = []
  /** Changes since the last read: true = must be present. */
  readonly #pending = new Map<string, boolean>()

  add(key: string): void {
    this.#pending.set(key, true)
  }

  delete(key: string): void {
    this.#pending.set(key, false)
  }

  /** The keys in order (UTF-16). Valid until the next change; not to be modified. */
  get keys(): readonly string[] {
    if (this.#pending.size > 0) this.#settle()
    return this.#keys
  }

  /** Index of the first key that is not before `key`. */
  lowerBound(key: string): number {
    return lowerBound(this.keys, key)
  }

  #settle(): void {
    const pending = this.#pending
    if (pending.size <= 32) {
      for (const [key, present] of pending) {
        const at = lowerBound(this.#keys, key)
        const found = this.#keys[at] === key
        if (present && !found) this.#keys.splice(at, 0, key)
        else if (!present && found) this.#keys.splice(at, 1)
      }
    } else {
      const keys = this.#keys.filter((key) => !pending.has(key))
      for (const [key, present] of pending) if (present) keys.push(key)
      this.#keys = keys.sort(compare)
    }
    pending.clear()
  }
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

function lowerBound(keys: readonly string[], key: string): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((keys[middle] ?? '') < key) low = middle + 1
    else high = middle
  }
  return low
}
