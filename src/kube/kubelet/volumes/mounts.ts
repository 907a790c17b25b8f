/**
 * Puts volumes where a container expects them. A process shares the machine's files, so this takes a view of its own: a
 * private mount namespace whose root is the machine's, covered by a layer in memory that takes all changes, with the
 * volumes mounted into it. Only root can make one. Pods without volumes do without, and start sooner.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { findOnHost } from '../process/executable.ts'
import type { ContainerSpec } from '../runtime.ts'

/** Volumes can't be mounted on this machine; the message says why. */
export class MountsImpossible extends Error {
  override readonly name = 'MountsImpossible'
}

/**
 * Arguments: folder for the view, working directory, a folder below /var/run that is the container's own ('' = none),
 * number of mounts, then (path, host path, ro or rw) of each, then the command. Other file systems of the machine are
 * carried over one by one, as an overlay shows only that of `/`. Where /var/run is a link to one of these, it becomes a
 * folder of links, so that nothing has to be made in the machine's own.
 */
const script = `set -e
path=$PATH PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
view=$1 cwd=$2 ownRun=$3 count=$4; shift 4
mount -t tmpfs -o mode=0755 tmpfs "$view"
mkdir "$view/changes" "$view/work" "$view/root"
mount -t overlay -o "lowerdir=/,upperdir=$view/changes,workdir=$view/work" overlay "$view/root"
last=/
cut -d" " -f5 /proc/self/mountinfo | sort -u | while read -r point; do
  case "$point" in /|"$view"|"$view"/*) continue;; esac
  case "$point" in "$last"/*) continue;; esac
  last=$point
  if [ -e "$view/root$point" ]; then mount --rbind "$point" "$view/root$point"; fi
done
if [ -n "$ownRun" ] && [ -h "$view/root/var/run" ]; then
  rm "$view/root/var/run"; mkdir "$view/root/var/run"
  for each in /run/*; do [ "/var$each" = "$ownRun" ] || ln -s "$each" "$view/root/var/run/"; done
fi
while [ "$count" -gt 0 ]; do
  target=$view/root$1
  if [ -d "$2" ]; then mkdir -p "$target"
  else mkdir -p "$(dirname "$target")"; [ -e "$target" ] || : > "$target"; fi
  mount --bind "$2" "$target"
  if [ "$3" = ro ]; then mount -o remount,bind,ro "$target"; fi
  shift 3; count=$((count - 1))
done
exec chroot "$view/root" /bin/sh -c 'cd "$1"; PATH=$2; shift 2; unset PWD OLDPWD; exec "$@"' sh "$cwd" "$path" "$@"`

/** Command line that runs what follows with the view, and in the network, of a container that has mounts. */
export const enterView = (pid: number, cwd: string): readonly string[] => [
  '/bin/sh',
  '-c',
  // A container that has just begun may not have its view yet: its root is still the machine's.
  'n=0; while [ "/proc/$1/root" -ef / ] && [ $n -lt 500 ]; do n=$((n+1)); sleep 0.01; done; shift; exec "$@"',
  'sh',
  String(pid),
  findOnHost('nsenter') ?? 'nsenter',
  `--target=${pid}`,
  '--mount',
  '--net',
  '--root',
  '--wd', // the container's: ours is not to be found inside
  '--',
  '/bin/sh',
  '-c',
  'cd "$1"; shift; unset PWD OLDPWD; exec "$@"',
  'sh',
  cwd,
]

export interface MountPlace {
  readonly rootfs: string
  readonly cwd: string
}

/** Command line that sets up the mounts and then runs what follows; empty when there is nothing to mount. Throws MountsImpossible. */
export function mountArguments(
  { mounts, container, attempt }: ContainerSpec,
  podFolder: string,
  { rootfs, cwd }: MountPlace,
): readonly string[] {
  if (mounts.length === 0) return []
  const unshare = findOnHost('unshare')
  if (process.getuid?.() !== 0 || unshare === undefined)
    throw new MountsImpossible(
      'volumes can not be mounted on this machine: that takes root and the program unshare',
    )
  const view = join(podFolder, 'views', `${container}-${attempt}`)
  mkdirSync(view, { recursive: true })
  // The program lives below the image's folder; a volume inside the image is reached there as well.
  const targets = mounts.flatMap(({ path, hostPath, readOnly }) =>
    [path, join(rootfs, path)].flatMap((target) => [target, hostPath, readOnly ? 'ro' : 'rw']),
  )
  const ownRun = /^\/var\/run\/[^/]+/.exec(
    mounts.find(({ path }) => path.startsWith('/var/run/'))?.path ?? '',
  )
  return [
    unshare,
    '--mount',
    '--propagation',
    'private',
    '--',
    '/bin/sh',
    '-c',
    script,
    'sh',
    view,
    cwd,
    ownRun?.[0] ?? '',
    String(mounts.length * 2),
    ...targets,
  ]
}
