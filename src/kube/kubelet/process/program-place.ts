/**
 * Where a container's programs run that share the files of this machine: their folder in the image, their environment, a
 * home of their own, and whether their user gets there at all.
 */
import { chownSync, existsSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { compiledFolder } from '../../../image/compile-cache.ts'
import type { SandboxRecord } from '../launcher/protocol.ts'
import type { ContainerSpec } from '../runtime.ts'
import { NoExecutable } from './executable.ts'
import { barrier } from './reach.ts'

const systemPath = ['/usr/local/bin', '/usr/bin', '/bin', '/usr/local/sbin', '/usr/sbin', '/sbin']

export interface Place {
  readonly rootfs: string
  readonly cwd: string
  readonly path: string
  readonly env: Readonly<Record<string, string>>
}

/** Where and with what environment a container's programs run: what pod and image say, nothing of the platform's. */
export function placeOf(
  spec: ContainerSpec,
  sandbox: SandboxRecord | undefined,
  home: string,
): Place {
  const { rootfs } = spec.image
  const cwd = join(rootfs, spec.workingDir)
  const path =
    spec.env['PATH'] ??
    [
      join(cwd, 'node_modules', '.bin'),
      ...['/usr/local/bin', '/usr/bin', '/bin'].map((folder) => join(rootfs, folder)),
      dirname(process.execPath),
      ...systemPath,
    ].join(':')
  const port = sandbox?.hostPorts?.[Number(spec.env['PORT'])]
  return {
    rootfs,
    cwd,
    path,
    env: {
      HOME: home,
      TMPDIR: join(home, 'tmp'),
      HOSTNAME: spec.podName,
      ...spec.env,
      PATH: path,
      ...(port !== undefined && { PORT: String(port) }),
      ...compileCache(spec.env, rootfs),
      EBB_POD_UID: spec.podUid,
    },
  }
}

/** Code that was compiled when the image was built. A program that says where its own cache is, or that it wants none, keeps that. */
function compileCache(env: ContainerSpec['env'], rootfs: string): Readonly<Record<string, string>> {
  const folder = compiledFolder(rootfs)
  const own = 'NODE_COMPILE_CACHE' in env || 'NODE_DISABLE_COMPILE_CACHE' in env
  return own || !existsSync(folder) ? {} : { NODE_COMPILE_CACHE: folder }
}

/** The home of a container's programs and their folder for temporary files, theirs to write to. */
export function makeFolders(home: string, user: ContainerSpec['user']): void {
  const temporary = join(home, 'tmp')
  mkdirSync(temporary, { recursive: true })
  if (!user) return
  for (const folder of [home, temporary]) chownSync(folder, user.uid, user.gid ?? user.uid)
}

/** A program that can't get to its files says only that there are none. Throws NoExecutable. */
export function mustReach(
  { uid, gid = uid }: NonNullable<ContainerSpec['user']>,
  paths: readonly string[],
) {
  for (const path of paths) {
    const closed = barrier(path, { uid, gid })
    if (closed === undefined) continue
    throw new NoExecutable(
      `user ${uid} can not reach "${path}": "${closed}" is closed to others; open it for passing (chmod o+x "${closed}"), or have the data directory elsewhere`,
    )
  }
}
