/** The store without durability: for tests and for platforms that may forget. */
import { LogIndex, type LogIndexOptions, type Staged } from './log-index.ts'
import type { Store, Write } from './store.ts'

/** A store that lives as long as the process; every write is as durable as it will ever be at once. */
export function memoryStore(options: LogIndexOptions = {}): Store {
  const index = new LogIndex(options)
  const durable = Promise.resolve()
  const commit = (staged: Staged): Write => {
    index.commit(staged)
    return { object: staged.object, revision: staged.revision, durable }
  }
  return {
    get revision() {
      return index.revision
    },
    get compacted() {
      return index.compacted
    },
    get: (key) => index.get(key),
    list: (prefix, options) => index.list(prefix, options),
    count: (prefix) => index.count(prefix),
    put: (key, object, expected) => commit(index.stagePut(key, object, expected)),
    delete: (key, expected, last) => commit(index.stageDelete(key, expected, last)),
    watch: (prefix, after) => index.watch(prefix, after),
    subscribe: (listener) => index.subscribe(listener),
    flushed: () => durable,
    [Symbol.asyncDispose]: () => {
      index.end()
      return durable
    },
  }
}
