/**
 * Looks now and then how much the emptyDir volumes of a pod hold that have a `sizeLimit`, as the kubelet's eviction manager
 * does. Those in memory need no watching: the kernel refuses what is too much.
 */
import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../../lib/clock.ts'
import type { Pod } from '../../api/pod.ts'
import { quantityValue } from '../../api/quantity.ts'

/** As often as the kubelet looks. */
const periodMs = 10_000
/** Of more files nobody waits to be told the sum. */
const mostEntries = 200_000

interface Limit {
  readonly name: string
  readonly text: string
  readonly bytes: number
}

/** `folder` holds the volumes. Calls back once, with Kubernetes' words; undefined when nothing is limited. */
export function watchSizes(
  { spec }: Pod,
  folder: string,
  clock: Clock,
  onExceeded: (message: string) => void,
): Disposable | undefined {
  const limits = (spec.volumes ?? []).flatMap(({ name, emptyDir }): Limit[] => {
    const { medium = '', sizeLimit } = emptyDir ?? {}
    if (medium !== '' || sizeLimit === undefined || quantityValue(sizeLimit) <= 0) return []
    return [{ name, text: sizeLimit, bytes: quantityValue(sizeLimit) }]
  })
  if (limits.length === 0) return undefined
  let stopped = false
  let cancel = () => {}
  const look = async () => {
    for (const { name, text, bytes } of limits) {
      const used = await usedBytes(join(folder, name)).catch(() => 0)
      if (stopped) return
      if (used > bytes)
        return onExceeded(
          `Usage of EmptyDir volume ${JSON.stringify(name)} exceeds the limit ${JSON.stringify(text)}. `,
        )
    }
    again()
  }
  const again = () => {
    cancel = clock.after(periodMs, () => void look())
  }
  again()
  return {
    [Symbol.dispose]() {
      stopped = true
      cancel()
    },
  }
}

/** What the files take on the disk. */
async function usedBytes(folder: string): Promise<number> {
  const folders = [folder]
  let bytes = 0
  let entries = 0
  for (let at = folders.pop(); at !== undefined; at = folders.pop())
    for (const entry of await readdir(at, { withFileTypes: true })) {
      if (++entries > mostEntries) return bytes
      const path = join(at, entry.name)
      if (entry.isDirectory()) folders.push(path)
      const { blocks } = await lstat(path).catch(() => ({ blocks: 0 })) // gone meanwhile
      bytes += blocks * 512
    }
  return bytes
}
