/** Control groups of containers from the launcher's side: entered as they start, removed after their end (sandbox/cgroups.ts makes them). */
import { rmdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { LimitsSpec } from './protocol.ts'

/** What a process does from now on counts for these groups. */
export function enterGroups(pid: number, { folders, enter }: LimitsSpec): void {
  if (!enter) return
  for (const folder of folders)
    try {
      writeFileSync(join(folder, 'cgroup.procs'), String(pid))
    } catch {
      // It has ended already.
    }
}

/** Of a container that has ended, and what lies above once it is empty. False while there are processes left. */
export function removeGroups(limits: LimitsSpec | undefined): boolean {
  let done = true
  for (const folder of limits?.folders ?? []) {
    try {
      rmdirSync(folder)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') done = false
    }
    try {
      rmdirSync(dirname(folder))
    } catch {
      // Others are inside.
    }
  }
  return done
}
