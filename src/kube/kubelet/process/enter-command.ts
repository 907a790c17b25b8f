/**
 * What has to be spawned on this machine so that a command runs inside a container of ours, as it would from within: in its
 * network, its root or its view of files, with its environment, folder and user. Whoever spawns it chooses the streams.
 */
import { findOnHost, resolveCommand } from './executable.ts'
import type { ExecContext } from '../launcher/protocol.ts'
import { enterView } from '../volumes/mounts.ts'

export interface EnterCommand {
  readonly argv: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  /** Whom the process is to be started as, where nothing else changes the user. */
  readonly uid?: number
  readonly gid?: number
}

/** Rejects with NoExecutable for a program that is not there; in a root of its own the command itself says so, by code 127. */
export async function enterCommand(
  place: ExecContext & { readonly pid: number },
  command: readonly string[],
): Promise<EnterCommand> {
  const { user, cwd, env, root } = place
  if (root) {
    const { enterArguments } = await import('../sandbox/enter.ts')
    return { argv: enterArguments(root, place.pid, env, command), cwd: '/', env }
  }
  const enter = place.hasView ? enterView(place.pid, cwd) : place.enter
  return {
    argv: [
      ...enter,
      // Through nsenter the user is changed by setpriv, as nsenter needs to be root.
      ...(user && (enter.length > 0 || user.groups) ? setUser(user) : []),
      ...resolveCommand(command, place),
    ],
    cwd,
    env,
    ...(user && enter.length === 0 && !user.groups && { uid: user.uid, gid: user.gid ?? user.uid }),
  }
}

/** Command line that runs what follows as another user. */
export const setUser = ({
  uid,
  gid = uid,
  groups = [],
}: NonNullable<ExecContext['user']>): readonly string[] => [
  findOnHost('setpriv') ?? 'setpriv',
  `--reuid=${uid}`,
  `--regid=${gid}`,
  groups.length > 0 ? `--groups=${groups.join(',')}` : '--clear-groups',
  '--',
]
