/**
 * The order of all store keys, kept as one sorted list for each `<resource>/<namespace>/`, so that a write touches and
 * a list reads only its own namespace. No such head is a prefix of another: lists in order of their heads are all keys
 * in order.
 */
import assert from 'node:assert'
import { SortedKeys } from './sorted-keys.ts'

/** `keys[from]` to `keys[to - 1]` of one namespace. */
export interface KeyRange {
  readonly keys: readonly string[]
  readonly from: number
  readonly to: number
}

export class KeyOrder {
  readonly #heads = new SortedKeys()
  readonly #lists = new Map<string, SortedKeys>()

  add(key: string): void {
    const head = headOf(key)
    assert(head !== undefined, `store key must be <resource>/<namespace>/<name>: ${key}`)
    let list = this.#lists.get(head)
    if (!list) {
      list = new SortedKeys()
      this.#lists.set(head, list)
      this.#heads.add(head)
    }
    list.add(key)
  }

  delete(key: string): void {
    this.#lists.get(headOf(key) ?? '')?.delete(key)
  }

  /** Where the keys are that start with `prefix` and come behind `after`. Valid until the next change. */
  ranges(prefix: string, after = ''): KeyRange[] {
    // Nothing lies between a key and the same key followed by the smallest character.
    const first = after >= prefix ? `${after}\0` : prefix
    const found: KeyRange[] = []
    const head = headOf(prefix)
    if (head !== undefined) {
      const list = this.#lists.get(head)
      if (list) push(found, list, list.lowerBound(first), list.lowerBound(`${prefix}\uffff`))
      return found
    }
    const heads = this.#heads.keys
    const firstHead = headOf(first) ?? first
    for (let i = this.#heads.lowerBound(firstHead); i < heads.length; i++) {
      const at = heads[i] ?? ''
      if (!at.startsWith(prefix)) break
      const list = this.#lists.get(at)
      if (!list) continue
      if (list.keys.length === 0) {
        this.#lists.delete(at) // an empty namespace; its head goes at the next read
        this.#heads.delete(at)
      } else push(found, list, at === firstHead ? list.lowerBound(first) : 0, list.keys.length)
    }
    return found
  }
}

function push(ranges: KeyRange[], list: SortedKeys, from: number, to: number): void {
  if (from < to) ranges.push({ keys: list.keys, from, to })
}

/** `<resource>/<namespace>/` of a key or a long enough prefix. */
function headOf(key: string): string | undefined {
  const second = key.indexOf('/', key.indexOf('/') + 1)
  return second > 0 && key.indexOf('/') < second ? key.slice(0, second + 1) : undefined
}
