/** What goes on at the real disk: for tests that move time themselves and must not move it while files are written. */
import { settle } from './sim-clock.ts'

/** Resolves when nothing of this process is under way at the disk, and nothing follows what was. */
export async function diskAtRest(): Promise<void> {
  do await settle()
  while (process.getActiveResourcesInfo().some(isOfFiles))
}

const isOfFiles = (resource: string): boolean =>
  resource.startsWith('FSReq') || resource === 'CloseReq'
