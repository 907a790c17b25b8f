/**
 * Whether this machine can give containers a root of their own, and as whom. Deciding is pure; the facts are read once, when
 * the first such container starts. What only the attempt tells comes out of the step that failed, in words that say what to
 * switch on.
 */
import { readFileSync } from 'node:fs'
import { arch, platform, release } from 'node:os'
import type { Machine } from './init-program.ts'
import { SandboxImpossible } from './sandbox-impossible.ts'
import { errno, errorText } from './syscalls.ts'

export interface Facts {
  readonly platform: string
  readonly arch: string
  /** `6.1.0-18-amd64` */
  readonly kernel: string
  readonly uid: number
  readonly gid: number
  /** Contents of switches below /proc/sys; absent = the machine has no such switch. */
  readonly maxUserNamespaces?: string
  readonly userNamespacesForAll?: string
  readonly appArmorRestricts?: string
  readonly lastCapability: number
}

export interface Ability {
  readonly machine: Machine
  /** Root needs no mapping of users. */
  readonly user: { readonly uid: number; readonly gid: number } | undefined
  readonly lastCapability: number
}

const oldestKernel = [5, 12] as const

/** Throws SandboxImpossible. */
export function abilityOf(facts: Facts): Ability {
  const no = (why: string): never => {
    throw new SandboxImpossible(`this image needs a root file system of its own: ${why}`)
  }
  if (facts.platform !== 'linux')
    return no(`that takes Linux, this is ${facts.platform}; run the platform with --runtime docker`)
  if (facts.arch !== 'x64' && facts.arch !== 'arm64')
    return no(
      `that is made for x86-64 and arm64, this is ${facts.arch}; run the platform with --runtime docker`,
    )
  const [major = 0, minor = 0] = facts.kernel.split('.').map((part) => Number.parseInt(part, 10))
  if (major < oldestKernel[0] || (major === oldestKernel[0] && minor < oldestKernel[1]))
    return no(
      `that takes Linux 5.12 or later, this is ${facts.kernel}; update the kernel or run the platform with --runtime docker`,
    )
  if (facts.uid !== 0) {
    const closed = closedSwitch(facts)
    if (closed !== undefined) return no(closed)
  }
  return {
    machine: facts.arch,
    user: facts.uid === 0 ? undefined : { uid: facts.uid, gid: facts.gid },
    lastCapability: facts.lastCapability,
  }
}

/** Why an ordinary user can't make user namespaces. */
function closedSwitch(facts: Facts): string | undefined {
  const root = 'or run the platform as root, or with --runtime docker'
  if (facts.maxUserNamespaces === undefined)
    return `the kernel has no user namespaces (CONFIG_USER_NS); ${root.slice(3)}`
  if (facts.maxUserNamespaces === '0')
    return `user namespaces are switched off; "sysctl -w user.max_user_namespaces=15000" switches them on, ${root}`
  if (facts.userNamespacesForAll === '0')
    return `user namespaces are for root only; "sysctl -w kernel.unprivileged_userns_clone=1" opens them, ${root}`
  return undefined
}

/** What a failed step means, and what helps. */
export function explainFailure(facts: Facts, what: string, error: number): string {
  const text = `could not ${what}: ${errorText(error)}`
  if (
    facts.uid !== 0 &&
    (error === errno.EPERM || error === errno.EACCES || error === errno.ENOSPC)
  ) {
    if (facts.appArmorRestricts === '1')
      return `${text}; AppArmor keeps user namespaces from ordinary users here: "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0" opens them, or run the platform as root, or with --runtime docker`
    return `${text}; the platform runs as an ordinary user (${facts.uid}), and this machine does not let it do that; run it as root, or with --runtime docker`
  }
  if (what.includes('overlay') && error === 19)
    return `${text}; the kernel has no overlayfs: "modprobe overlay" loads it`
  if (error === errno.EPERM)
    return `${text}; the platform runs as root without the right to do that, in a container perhaps: give that one more privileges, or run the platform with --runtime docker`
  return text
}

export function readFacts(): Facts {
  const maxUserNamespaces = read('/proc/sys/user/max_user_namespaces')
  const userNamespacesForAll = read('/proc/sys/kernel/unprivileged_userns_clone')
  const appArmorRestricts = read('/proc/sys/kernel/apparmor_restrict_unprivileged_userns')
  return {
    platform: platform(),
    arch: arch(),
    kernel: release(),
    uid: process.getuid?.() ?? -1,
    gid: process.getgid?.() ?? -1,
    ...(maxUserNamespaces !== undefined && { maxUserNamespaces }),
    ...(userNamespacesForAll !== undefined && { userNamespacesForAll }),
    ...(appArmorRestricts !== undefined && { appArmorRestricts }),
    lastCapability: Number(read('/proc/sys/kernel/cap_last_cap') ?? 40),
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return undefined
  }
}
