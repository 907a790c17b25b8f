/**
 * What containers may take of memory, processor and process ids, by the kernel's control groups: a folder a container,
 * below one a platform, which lies below the platform's own where that can be (cgroup v1: one tree a controller; v2: one
 * for all). Where no tree can be written to, there are no limits.
 */
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import type { ContainerResources } from '../runtime.ts'

export interface Cgroups {
  readonly version: 1 | 2
  /** Makes the groups of a container with its limits. Throws when the machine refuses. */
  make(id: string, resources: ContainerResources): ContainerGroups
}

export interface ContainerGroups {
  /** Absolute, one a controller (v1), or one (v2). */
  readonly folders: readonly string[]
  /** File that counts kills for want of memory. */
  readonly killsPath?: string
}

const controllers = ['memory', 'cpu', 'cpuacct', 'pids'] as const
/** Processes and threads of one container. */
const maxProcesses = 16_384
const periodMicros = 100_000
/** The kernel refuses less. */
const leastQuotaMicros = 1_000
const leastShares = 2
const mostShares = 262_144

/** Name of a platform's group; `prefix` names its data directory. */
export const cgroupName = (prefix: string): string => `ebb-${prefix}`

/** Undefined where nothing can be limited. `root` is the folder that the trees are mounted below. */
export function openCgroups(
  name: string,
  root = '/sys/fs/cgroup',
  own = readText('/proc/self/cgroup'),
): Cgroups | undefined {
  const parent = existsSync(join(root, 'cgroup.controllers'))
    ? unified(root, name, own)
    : separate(root, name, own)
  return parent
}

function separate(root: string, name: string, own: string): Cgroups | undefined {
  const paths = ownPaths(own)
  const bases = new Map<string, string>()
  for (const controller of controllers) {
    const tree = join(root, controller)
    const nested = join(tree, paths.get(controller) ?? '/')
    const base = isWritable(nested) ? nested : isWritable(tree) ? tree : undefined
    if (base !== undefined) bases.set(controller, join(base, name))
  }
  if (!bases.has('memory') && !bases.has('cpu')) return undefined
  return {
    version: 1,
    make(id, { memoryLimitBytes, cpuLimitMillis, cpuRequestMillis }) {
      for (const [controller, wanted] of [
        ['memory', memoryLimitBytes],
        ['cpu', cpuLimitMillis],
      ] as const)
        if (wanted !== undefined && !bases.has(controller))
          throw new Error(`${join(root, controller)} can not be written to`)
      const folders = new Map([...bases].map(([key, base]) => [key, join(base, id)]))
      for (const folder of folders.values()) mkdirSync(folder, { recursive: true })
      const set = (controller: string, file: string, value: number) => {
        const folder = folders.get(controller)
        if (folder !== undefined) writeFileSync(join(folder, file), String(value))
      }
      const memory = folders.get('memory')
      if (memoryLimitBytes !== undefined) {
        set('memory', 'memory.limit_in_bytes', memoryLimitBytes)
        // Only where swap is counted.
        if (memory !== undefined && existsSync(join(memory, 'memory.memsw.limit_in_bytes')))
          set('memory', 'memory.memsw.limit_in_bytes', memoryLimitBytes)
      }
      if (cpuLimitMillis !== undefined && cpuLimitMillis > 0) {
        set('cpu', 'cpu.cfs_period_us', periodMicros)
        set('cpu', 'cpu.cfs_quota_us', quotaMicros(cpuLimitMillis))
      }
      const request = cpuRequestMillis ?? cpuLimitMillis
      if (request !== undefined) set('cpu', 'cpu.shares', sharesOf(request))
      set('pids', 'pids.max', maxProcesses)
      return {
        folders: [...folders.values()],
        ...(memory !== undefined && { killsPath: join(memory, 'memory.oom_control') }),
      }
    },
  }
}

function unified(root: string, name: string, own: string): Cgroups | undefined {
  const base = unifiedBase(root, ownPaths(own).get('') ?? '/')
  if (base === undefined) return undefined
  const parent = join(base, name)
  let prepared = false
  const prepare = () => {
    if (prepared) return
    mkdirSync(parent, { recursive: true })
    for (const folder of [base, parent])
      for (const controller of ['memory', 'cpu', 'pids'])
        try {
          writeFileSync(join(folder, 'cgroup.subtree_control'), `+${controller}`)
        } catch {
          // This one is not for us to hand on; what it would limit stays without.
        }
    prepared = true
  }
  return {
    version: 2,
    make(id, { memoryLimitBytes, cpuLimitMillis, cpuRequestMillis }) {
      prepare()
      const folder = join(parent, id)
      mkdirSync(folder, { recursive: true })
      const set = (file: string, value: string) => {
        if (existsSync(join(folder, file))) writeFileSync(join(folder, file), value)
      }
      for (const [file, wanted] of [
        ['memory.max', memoryLimitBytes],
        ['cpu.max', cpuLimitMillis],
      ] as const)
        if (wanted !== undefined && !existsSync(join(folder, file))) {
          rmdirSync(folder)
          throw new Error(`${parent} is not given the controller for ${file}`)
        }
      if (memoryLimitBytes !== undefined) {
        set('memory.max', String(memoryLimitBytes))
        set('memory.swap.max', '0')
      }
      if (cpuLimitMillis !== undefined && cpuLimitMillis > 0)
        set('cpu.max', `${quotaMicros(cpuLimitMillis)} ${periodMicros}`)
      const request = cpuRequestMillis ?? cpuLimitMillis
      if (request !== undefined) set('cpu.weight', String(weightOf(sharesOf(request))))
      set('pids.max', String(maxProcesses))
      return { folders: [folder], killsPath: join(folder, 'memory.events') }
    },
  }
}

/** A group with processes of its own can't hand controllers on, so root takes the top, others what they were given. */
function unifiedBase(root: string, own: string): string | undefined {
  if (isWritable(root)) return root
  const mayUse = (folder: string) => isWritable(folder) && isWritable(join(folder, 'cgroup.procs'))
  let found: string | undefined
  for (let path = dirname(own); ; path = dirname(path)) {
    const folder = join(root, path)
    if (mayUse(folder)) found = folder
    else if (found !== undefined || path === '/') return found
  }
}

/** Paths by controller, of /proc/self/cgroup; '' is the unified tree's. */
function ownPaths(text: string): ReadonlyMap<string, string> {
  const paths = new Map<string, string>()
  for (const line of text.split('\n')) {
    const [, names, ...rest] = line.split(':')
    if (names === undefined) continue
    for (const name of names.split(',')) paths.set(name, rest.join(':'))
  }
  return paths
}

export const quotaMicros = (millis: number): number =>
  Math.max(leastQuotaMicros, Math.round((millis * periodMicros) / 1000))
export const sharesOf = (millis: number): number =>
  Math.min(mostShares, Math.max(leastShares, Math.floor((millis * 1024) / 1000)))
/** As systemd and runc turn one scale into the other. */
export const weightOf = (shares: number): number =>
  1 + Math.floor(((shares - leastShares) * 9999) / (mostShares - leastShares))

/** Bytes that a container keeps in memory and can't be taken back at once; undefined when its groups do not tell. */
export function groupMemoryBytes(folders: readonly string[]): number | undefined {
  for (const folder of folders) {
    const used =
      readNumber(join(folder, 'memory.current')) ??
      readNumber(join(folder, 'memory.usage_in_bytes'))
    if (used === undefined) continue
    const stat = readText(join(folder, 'memory.stat'))
    const inactive = /^(?:total_)?inactive_file (\d+)/m.exec(
      stat.includes('total_inactive_file') ? stat.slice(stat.indexOf('total_inactive_file')) : stat,
    )
    return Math.max(0, used - Number(inactive?.[1] ?? 0))
  }
  return undefined
}

/** Processor time that a container has used since it began, in nanoseconds. */
export function groupCpuNanos(folders: readonly string[]): number | undefined {
  for (const folder of folders) {
    const nanos = readNumber(join(folder, 'cpuacct.usage'))
    if (nanos !== undefined) return nanos
    const micros = /^usage_usec (\d+)/m.exec(readText(join(folder, 'cpu.stat')))
    if (micros) return Number(micros[1]) * 1000
  }
  return undefined
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK)
    return true
  } catch {
    return false
  }
}

function readNumber(path: string): number | undefined {
  const text = readText(path).trim()
  return /^\d+$/.test(text) ? Number(text) : undefined
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
