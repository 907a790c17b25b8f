/** Programs that tests need from outside: taken from the PATH, else installed from Debian once, where that is allowed. */
import { spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const tried = new Map<string, boolean>()

/** True when `command` can be run, after installing `debianPackage` if need be (root with apt only). */
export function installed(command: string, debianPackage: string): boolean {
  let found = tried.get(command)
  if (found === undefined)
    tried.set(command, (found = isThere(command) || install(command, debianPackage)))
  return found
}

const isThere = (command: string): boolean =>
  spawnSync('sh', ['-c', 'command -v "$0"', command], { stdio: 'ignore' }).status === 0

function install(command: string, debianPackage: string): boolean {
  if (process.getuid?.() !== 0 || !isThere('apt-get')) return false
  // One at a time on this machine: apt refuses to wait for whoever reads the lists of packages.
  const lock = join(tmpdir(), 'ebb-apt.lock')
  const apt = (...args: readonly string[]) =>
    spawnSync('flock', [lock, 'apt-get', '-qq', '-o', 'DPkg::Lock::Timeout=60', ...args], {
      stdio: 'ignore',
      timeout: 180_000,
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    }).status === 0
  const get = () => apt('install', '-y', '--no-install-recommends', debianPackage)
  return (get() || (apt('update') && get())) && isThere(command)
}
