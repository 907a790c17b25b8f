/**
 * Unpacks large images in a thread of their own, as decompressed bytes, digests and thousands of small files would hold up
 * whatever else the event loop has to do. A small image is unpacked sooner than a thread starts.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { createSemaphore } from '../lib/semaphore.ts'
import type { ContentStore, Descriptor } from './content-store.ts'
import { unpackImage } from './unpack.ts'
import type { Unpacked, UnpackOrder } from './unpack-worker.ts'

/** Compressed bytes that take about as long as a thread to start. */
const smallBytes = 2 << 20
/** Each has a heap of its own; more of them would only share the disk. */
const threads = createSemaphore(() => 2)

/** As `unpackImage`. */
export async function unpackAside(
  store: ContentStore,
  digest: string,
  layers: readonly Descriptor[],
  options: UnpackOrder['options'] = {},
): Promise<string> {
  const bytes = layers.reduce((total, { size }) => total + size, 0)
  const isThere = existsSync(join(store.directory, 'rootfs', digest.slice(7)))
  if (isThere || bytes < smallBytes) return await unpackImage(store, digest, layers, options)
  const { directory } = store
  return await threads.run(() => inThread({ directory, digest, layers, options }))
}

function inThread(workerData: UnpackOrder): Promise<string> {
  // The built package has only the one with `.js`.
  const file = import.meta.url.endsWith('.ts') ? './unpack-worker.ts' : './unpack-worker.js'
  const worker = new Worker(new URL(file, import.meta.url), { workerData, name: 'unpack' })
  return new Promise((resolve, reject) => {
    worker.once('message', (answer: Unpacked) =>
      'root' in answer ? resolve(answer.root) : reject(new Error(answer.problem)),
    )
    worker.once('error', reject)
    worker.once('exit', (code) => reject(new Error(`the thread that unpacks ended with ${code}`)))
  })
}
