/**
 * Makes containers that have a root file system of their own ready to start: folders, limits, user, privileges and the
 * instructions (container-script.ts) that the launcher's child carries out. Loaded when the first such container comes.
 */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type { EnterRecord, KeptSpec, LimitsSpec, SandboxRecord } from '../launcher/protocol.ts'
import { hostResolvConf } from '../container/etc-files.ts'
import type { ContainerSpec } from '../runtime.ts'
import { abilityOf, explainFailure, readFacts, type Ability, type Facts } from './abilities.ts'
import { capabilitiesOf, capabilityNumber, NoCapability } from './capabilities.ts'
import { cgroupName, openCgroups, type Cgroups } from './cgroups.ts'
import { containerScript, type SandboxMount } from './container-script.ts'
import { installInit } from './install-init.ts'
import { resolveInside } from './inside.ts'
import { whatExecute } from './process-steps.ts'
import { removeChanges } from './remains.ts'
import { candidatesOf, defaultPath, notFoundText, notStartedText } from './program.ts'
import { SandboxImpossible } from './sandbox-impossible.ts'
import { seccompFilter } from './seccomp.ts'
import { errno } from './syscalls.ts'
import { findUser, NoUser } from './users.ts'

export interface SandboxesOptions {
  /** Names this data directory among the control groups of the machine. */
  readonly prefix: string
  readonly allowPrivileged: boolean
  /** Is told once of what containers have to do without. */
  readonly onLimitation: (what: string) => void
}

export interface SandboxRequest {
  readonly spec: ContainerSpec
  readonly id: string
  readonly sandbox: SandboxRecord | undefined
  readonly hostname: string
  /** Folder of the pod. */
  readonly folder: string
  /** Pid of a running container of the same pod that has a root of its own. */
  readonly beside?: number
  /** Pid of the container whose processes it is to see. */
  readonly among?: number
  /** Path of the pod's network namespace. */
  readonly network?: string
}

/** What the launcher has to start, and how a failure is read. */
export interface PreparedSandbox {
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly kept: KeptSpec
  readonly limits?: LimitsSpec
  readonly root: EnterRecord
  /**
   * What the failed step means. `again`: another way was found, prepare once more. Throws SandboxImpossible when the
   * machine can't do it.
   */
  failure(address: number, error: number): { readonly message: string } | 'again'
}

export interface Sandboxes {
  /** Throws SandboxImpossible, ProgramMissing, or what the file system says. */
  prepare(request: SandboxRequest): PreparedSandbox
}

/** The container can't be started as it is described; the message is shown. */
export class NotStartable extends Error {
  override readonly name = 'NotStartable'
}

const hiddenFolders = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/scsi',
  '/sys/firmware',
  '/sys/devices/virtual/powercap',
]
const hiddenFiles = [
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/sched_debug',
  '/proc/interrupts',
]
/** More is nobody's image. */
const maxImageVolumes = 64
const readOnlyPaths = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger']

export function openSandboxes(options: SandboxesOptions, facts: Facts = readFacts()): Sandboxes {
  let opened: Ability | undefined
  let cgroups: Cgroups | undefined
  const here = (paths: readonly string[]) => paths.filter((path) => existsSync(path))
  const seen = {
    hiddenFolders: here(hiddenFolders),
    hiddenFiles: here(hiddenFiles),
    readOnlyPaths: here(readOnlyPaths),
  }
  /** Where changes to the root go. */
  let changes: 'disk' | 'memory' = 'disk'
  let ownCgroupView = true

  const open = () => {
    if (opened) return opened
    const ability = abilityOf(facts)
    cgroups = openCgroups(cgroupName(options.prefix))
    if (!cgroups)
      options.onLimitation('no control group can be written to: containers have no limits')
    return (opened = ability)
  }

  return {
    prepare({ spec, id, sandbox, hostname, folder, beside, among, network }) {
      const ability = open()
      const { security = {}, image } = spec
      if (security.privileged && !options.allowPrivileged)
        throw new NotStartable(
          'privileged containers are refused here; start the platform with --allow-privileged to allow them',
        )
      const user = userOf(spec)
      const capabilities = capabilityNumbers(spec)
      const seccomp = security.seccomp?.type ?? 'RuntimeDefault'
      if (seccomp === 'Localhost')
        throw new NotStartable(
          `seccomp profile "${security.seccomp?.localhostProfile ?? ''}": profiles of files are not read here; expected RuntimeDefault or Unconfined`,
        )
      const filtered = seccomp === 'RuntimeDefault' && !security.privileged
      const own = rootFolder(folder, spec)
      const upper = join(own, 'upper')
      const noNewPrivileges = !security.privileged && security.allowPrivilegeEscalation !== true
      const limits = makeLimits(cgroups, id, spec, options.onLimitation)
      const procs = (limits?.folders ?? []).map((path) => join(path, 'cgroup.procs'))
      const workingDir = resolveInside(image.rootfs, spec.workingDir || '/')
      const env = environmentOf(spec, sandbox, hostname, user.home)
      const [program = ''] = spec.command
      const candidates = candidatesOf(program, env['PATH'] ?? '')
      if (candidates.length === 0) throw new NotStartable(notFoundText(program))
      const credentials = {
        uid: user.uid,
        gid: user.gid,
        groups: user.groups,
        capabilities,
        lastCapability: ability.lastCapability,
        noNewPrivileges,
      }
      const cgroupMounts = ownCgroupView && !ability.user ? cgroupMountsOf(cgroups, limits) : []
      const kept: KeptSpec = {
        endPath: join(own, 'end'),
        ...(image.config.stopSignal !== '' && { stopSignal: image.config.stopSignal }),
      }
      const script = containerScript({
        machine: ability.machine,
        ...(ability.user && { userNamespace: ability.user }),
        lower: image.rootfs,
        changes: changes === 'disk' ? { upper, work: join(own, 'work') } : undefined,
        root: join(own, 'root'),
        readOnlyRoot: security.readOnlyRootFilesystem ?? false,
        mounts: mountsOf(spec, image.rootfs, own),
        imageVolumes: imageVolumesOf(spec),
        hostname,
        ...(network !== undefined && { network }),
        // A user namespace of one container is not another's.
        ...(beside !== undefined && !ability.user && { beside }),
        ...(among !== undefined && !ability.user && { among }),
        onTerminal: spec.tty ?? false,
        cgroups: procs,
        cgroupMounts,
        ...(security.privileged ? { hiddenFolders: [], hiddenFiles: [], readOnlyPaths: [] } : seen),
        credentials: {
          ...credentials,
          ...(filtered && {
            filter: seccompFilter(ability.machine, capabilities, ability.user !== undefined),
          }),
        },
        workingDir,
        program: { candidates },
        endPath: kept.endPath,
      })
      const path = join(own, 'start')
      writeFileSync(path, script.bytes(), { mode: 0o600 })
      return {
        argv: [installInit(join(own, 'init'), ability.machine), path, ...spec.command],
        env,
        kept,
        ...(limits && { limits: { ...limits, enter: false } }),
        root: {
          machine: ability.machine,
          folder: own,
          userNamespace: ability.user !== undefined,
          network: network !== undefined,
          cgroups: procs,
          cgroupNamespace: cgroupMounts.length > 0,
          workingDir,
          credentials: { ...credentials, filtered },
        },
        failure(address, error) {
          const what = script.whatAt(address)
          if (what === whatExecute) return { message: notStartedText(program, error) }
          if (what.includes('cgroup') && ownCgroupView && cgroupMounts.length > 0) {
            ownCgroupView = false
            return 'again'
          }
          if (what.startsWith('mount overlay') && changes === 'disk' && error === errno.EINVAL) {
            changes = 'memory'
            options.onLimitation(
              'the file system of the data directory can not hold changes of containers: they are kept in memory',
            )
            return 'again'
          }
          if (isOfContainer(what)) return { message: explainFailure(facts, what, error) }
          throw new SandboxImpossible(explainFailure(facts, what, error))
        },
      }
    },
  }
}

/** Steps that fail because of what the container wants, not of the machine. */
const isOfContainer = (what: string): boolean =>
  what.startsWith('enter the working directory') || what.startsWith('make the folder')

/** A folder for this attempt, empty; those of earlier ones go. */
function rootFolder(podFolder: string, { container, attempt }: ContainerSpec): string {
  const roots = join(podFolder, 'roots')
  mkdirSync(roots, { recursive: true, mode: 0o700 })
  const name = `${container}-${attempt}`
  for (const entry of readdirSync(roots)) {
    if (!entry.startsWith(`${container}-`) || !/^\d+$/.test(entry.slice(container.length + 1)))
      continue
    const old = join(roots, `.${entry}-${process.hrtime.bigint()}`)
    renameSync(join(roots, entry), old)
    void removeChanges(old)
  }
  const folder = join(roots, name)
  for (const part of ['upper', 'work', 'root']) mkdirSync(join(folder, part), { recursive: true })
  chmodSync(join(folder, 'upper'), 0o755)
  return folder
}

function userOf({ image, user, security }: ContainerSpec) {
  const uid = user?.uid ?? security?.runAsUser
  const gid = user?.gid ?? security?.runAsGroup
  try {
    return findUser(image.rootfs, {
      image: image.config.user,
      ...(uid !== undefined && { uid }),
      ...(gid !== undefined && { gid }),
      ...(security?.groups && { groups: security.groups }),
    })
  } catch (error) {
    if (error instanceof NoUser) throw new NotStartable(error.message)
    throw error
  }
}

function capabilityNumbers({ security = {} }: ContainerSpec): readonly number[] {
  if (security.privileged) return Array.from({ length: 64 }, (_, each) => each)
  try {
    return capabilitiesOf(security).map(capabilityNumber)
  } catch (error) {
    if (error instanceof NoCapability) throw new NotStartable(error.message)
    throw error
  }
}

/** What image and pod say, with what container runtimes add. */
function environmentOf(
  spec: ContainerSpec,
  sandbox: SandboxRecord | undefined,
  hostname: string,
  home: string,
): Readonly<Record<string, string>> {
  const port = sandbox?.hostPorts?.[Number(spec.env['PORT'])]
  return {
    PATH: defaultPath,
    HOSTNAME: hostname,
    ...(spec.tty && { TERM: 'xterm' }),
    HOME: home,
    ...spec.env,
    ...(port !== undefined && { PORT: String(port) }),
  }
}

function mountsOf(spec: ContainerSpec, rootfs: string, own: string): readonly SandboxMount[] {
  const mounts = spec.mounts.map(({ path, hostPath, readOnly }) => ({
    path: resolveInside(rootfs, path),
    hostPath,
    readOnly,
    isFolder: statSync(hostPath).isDirectory(),
  }))
  if (!spec.mounts.some(({ path }) => path === '/etc/resolv.conf')) {
    const hostPath = join(own, 'resolv.conf')
    writeFileSync(hostPath, hostResolvConf(), { mode: 0o644 })
    mounts.unshift({
      path: resolveInside(rootfs, '/etc/resolv.conf'),
      hostPath,
      readOnly: false,
      isFolder: false,
    })
  }
  // What lies inside another is mounted after it.
  return mounts.sort((a, b) => a.path.split('/').length - b.path.split('/').length)
}

/** Folders the image declares as data, but for those where the pod mounts its own. */
function imageVolumesOf({ image, mounts }: ContainerSpec): readonly string[] {
  const own = new Set(mounts.map(({ path }) => resolveInside(image.rootfs, path)))
  return (image.config.volumes ?? [])
    .filter((path) => path.startsWith('/') && !path.includes('\0'))
    .slice(0, maxImageVolumes)
    .map((path) => resolveInside(image.rootfs, path))
    .filter((path) => path !== '/' && !own.has(path))
}

/**
 * Only for containers that state what they may take: entering a group waits for all processors of the machine (some
 * 10 ms), which all others are spared.
 */
function makeLimits(
  cgroups: Cgroups | undefined,
  id: string,
  { resources }: ContainerSpec,
  onLimitation: (what: string) => void,
): Omit<LimitsSpec, 'enter'> | undefined {
  if (!resources) return undefined
  try {
    return cgroups?.make(id, resources)
  } catch (error) {
    onLimitation(
      `control groups can not be made, containers have no limits: ${error instanceof Error ? error.message : String(error)}`,
    )
    return undefined
  }
}

function cgroupMountsOf(
  cgroups: Cgroups | undefined,
  limits: Omit<LimitsSpec, 'enter'> | undefined,
): readonly { readonly name: string; readonly type: string }[] {
  if (!cgroups || !limits) return []
  if (cgroups.version === 2) return [{ name: '', type: 'cgroup2' }]
  return limits.folders.map((folder) => ({
    name: folder.split('/')[4] ?? '',
    type: 'cgroup',
  }))
}
