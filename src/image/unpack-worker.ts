/** The thread that unpacks one image for `unpack-aside.ts`, and ends. */
import { dirname } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import { openContentStore, type Descriptor } from './content-store.ts'
import { unpackImage, type UnpackOptions } from './unpack.ts'

export interface UnpackOrder {
  /** The store's. */
  readonly directory: string
  readonly digest: string
  readonly layers: readonly Descriptor[]
  /** What can be sent to a thread. */
  readonly options: Pick<UnpackOptions, 'maxBytes' | 'maxRatio' | 'freeBytes' | 'ownRoot'>
}

export type Unpacked = { readonly root: string } | { readonly problem: string }

async function unpack({ directory, digest, layers, options }: UnpackOrder): Promise<Unpacked> {
  try {
    const store = await openContentStore(dirname(directory))
    return { root: await unpackImage(store, digest, layers, options) }
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) }
  }
}

const port = parentPort
if (port) void unpack(workerData as UnpackOrder).then((answer) => port.postMessage(answer))
