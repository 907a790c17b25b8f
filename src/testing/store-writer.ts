/**
 * The process that the store's crash test kills: `node store-writer.ts PATH` writes without end and prints each change once it is
 * durable, one JSON array `[key, revision, deleted]` a line.
 */
import { openSqliteStore } from '../kube/store/sqlite-store.ts'

const [path = ''] = process.argv.slice(2)
const store = await openSqliteStore({ path, historyLimit: 50 })
process.stdout.write(`${JSON.stringify(['open', store.revision, false])}\n`)

const payload = 'x'.repeat(500)
async function write(writer: number): Promise<never> {
  for (let i = 0; ; i++) {
    const key = `things/default/${writer}-${i % 7}`
    const deleted = i % 5 === 4 && store.get(key) !== undefined
    const { revision, durable } = deleted
      ? store.delete(key)
      : store.put(key, { apiVersion: 'v1', kind: 'Thing', metadata: { name: payload } })
    await durable
    process.stdout.write(`${JSON.stringify([key, revision, deleted])}\n`)
  }
}
await Promise.all(Array.from({ length: 8 }, (_, writer) => write(writer)))
