/**
 * The last words of a container: a file that it may write, at `terminationMessagePath`, and that its status then shows.
 * With FallbackToLogsOnError the end of its log stands in.
 */
import { closeSync, openSync, readSync } from 'node:fs'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ContainerDefinition } from '../container/container-state.ts'
import type { ContainerMount } from '../runtime.ts'

export const defaultTerminationPath = '/dev/termination-log'
const longestBytes = 4096

const fileOf = (podFolder: string, container: string): string =>
  join(podFolder, 'containers', container, 'termination-log')

/** Makes an empty file for the next attempt; undefined when the container wants none. */
export async function terminationMount(
  { name, terminationMessagePath: path = defaultTerminationPath }: ContainerDefinition,
  podFolder: string,
): Promise<ContainerMount | undefined> {
  if (path === '') return undefined
  const hostPath = fileOf(podFolder, name)
  await mkdir(join(podFolder, 'containers', name), { recursive: true, mode: 0o755 })
  await writeFile(hostPath, '')
  await chmod(hostPath, 0o666)
  return {
    path,
    hostPath,
    readOnly: false,
    ...(path === defaultTerminationPath && { implied: true }),
  }
}

/** What was written, at most 4 KiB of it; '' = nothing. */
export function terminationMessage(podFolder: string, container: string): string {
  let file: number
  try {
    file = openSync(fileOf(podFolder, container), 'r')
  } catch {
    return '' // it had no such file
  }
  try {
    const buffer = Buffer.alloc(longestBytes)
    return buffer.toString('utf8', 0, readSync(file, buffer, 0, longestBytes, 0))
  } catch {
    return ''
  } finally {
    closeSync(file)
  }
}
