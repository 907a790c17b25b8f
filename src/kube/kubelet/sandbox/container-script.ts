/**
 * The system calls that start a container in a root of its own (OCI runtime-spec, config-linux). Two processes: the keeper
 * stays outside, copies the output into the log and notes how the program ended; its child is pid 1 of a new process
 * namespace and becomes the program. Everything inside the root is done after it has become the root, and files from
 * outside are opened before, so that no link of an image leads a mount of ours anywhere else.
 */
import type { Machine } from './init-program.ts'
import {
  becomeUser,
  waitAndEnd,
  clone,
  execute,
  namespaces,
  prctl,
  type Credentials,
  type Executable,
} from './process-steps.ts'
import { argv, environment, failure, Label, Script, type Memory } from './script.ts'
import { errno } from './syscalls.ts'

/** What is reported on this descriptor: pid of the program, 8 bytes, when there is one; then, if it failed, `failure`. */
export const reportDescriptor = 3

export interface SandboxMount {
  /** Inside; links of the image on the way are resolved already. */
  readonly path: string
  readonly hostPath: string
  readonly isFolder: boolean
  readonly readOnly: boolean
}

export interface ContainerPlan {
  readonly machine: Machine
  /** Ids of this user, mapped to the container's; absent = root, who needs no mapping. */
  readonly userNamespace?: { readonly uid: number; readonly gid: number }
  /** Folders: the image's files, changes, overlayfs' own, and where it all comes together. `changes` in memory if undefined. */
  readonly lower: string
  readonly changes: { readonly upper: string; readonly work: string } | undefined
  readonly root: string
  readonly readOnlyRoot: boolean
  readonly mounts: readonly SandboxMount[]
  /** Folders that the image wants to be there and writable; without links. */
  readonly imageVolumes: readonly string[]
  readonly hostname: string
  /** Path of the pod's network namespace; absent = the machine's network. */
  readonly network?: string
  /** A process of the same pod whose ipc and uts namespaces are shared. */
  readonly beside?: number
  /** A process whose process namespace is shared: the program is not the first one there. */
  readonly among?: number
  /** Its input and output are a terminal that somebody else holds: nothing is copied. */
  readonly onTerminal: boolean
  /** Folder whose files are /dev/shm; absent = memory of the container's own. */
  readonly sharedMemory?: string
  /** Files `cgroup.procs` to be written to. */
  readonly cgroups: readonly string[]
  /** How /sys/fs/cgroup looks inside: folders by file system type and options; empty = nothing. */
  readonly cgroupMounts: readonly { readonly name: string; readonly type: string }[]
  /** Paths of /proc and /sys that there are on this machine: to be hidden (folders, files) or not to be written. */
  readonly hiddenFolders: readonly string[]
  readonly hiddenFiles: readonly string[]
  readonly readOnlyPaths: readonly string[]
  readonly credentials: Credentials
  readonly workingDir: string
  readonly program: Executable
  /** Where the end is written to. */
  readonly endPath: string
}

const mountFlags = {
  readOnly: 1,
  noSuid: 2,
  noDevices: 4,
  noPrograms: 8,
  bind: 1 << 12,
  recursive: 1 << 14,
  private: 1 << 18,
} as const
const { readOnly, noSuid, noDevices, noPrograms } = mountFlags
const here = -100 // AT_FDCWD
const openTree = 1 | 0x8000 | 0x80000 // OPEN_TREE_CLONE, AT_RECURSIVE, O_CLOEXEC
const emptyPath = 0x1000
const moveTree = 4 | 0x10 // MOVE_MOUNT_F_EMPTY_PATH, MOVE_MOUNT_T_SYMLINKS
const writeOnly = 1 | 0x80000 // O_WRONLY, O_CLOEXEC
const create = 0o100
const detach = 2
const bufferBytes = 32_768

const devices = ['null', 'zero', 'full', 'random', 'urandom', 'tty']

/** Throws for what no program can be told: NUL bytes, more mounts than anybody has. */
export function containerScript(plan: ContainerPlan): Script {
  const script = new Script(plan.machine)
  const failed = new Label()
  const child = new Label()
  script.onFailure(failed)

  const blocked = script.data(Buffer.alloc(8, 0xff))
  const open = script.data(Buffer.alloc(8))
  const pid = script.room(8)
  const pipe = script.room(8)
  const endFile = script.room(8)

  script.call('keep the report to itself', 'fcntl', [reportDescriptor, 2, 1])
  script.call('ignore signals', 'rt_sigprocmask', [0, { at: blocked }, 0, 8])
  script.call('make a pipe', 'pipe2', [{ at: pipe }, 0x80000])
  script.call(
    `write ${plan.endPath}`,
    'openat',
    [here, { at: script.text(plan.endPath) }, writeOnly | create, 0o600],
    { to: endFile },
  )
  if (plan.network !== undefined)
    enterNamespace(script, plan.network, namespaces.network, "enter the pod's network")
  if (plan.beside !== undefined) {
    enterNamespace(
      script,
      `/proc/${plan.beside}/ns/ipc`,
      namespaces.ipc,
      "enter the pod's ipc namespace",
    )
    enterNamespace(
      script,
      `/proc/${plan.beside}/ns/uts`,
      namespaces.uts,
      "enter the pod's uts namespace",
    )
  }
  if (plan.among !== undefined)
    enterNamespace(
      script,
      `/proc/${plan.among}/ns/pid`,
      namespaces.process,
      'enter the process namespace of another container',
    )
  const flags =
    namespaces.mount |
    (plan.among === undefined ? namespaces.process : 0) |
    (plan.beside === undefined ? namespaces.ipc | namespaces.uts : 0) |
    (plan.userNamespace ? namespaces.user : 0)
  clone(script, plan.userNamespace ? 'make a user namespace' : 'make namespaces', flags, pid, child)

  // The keeper.
  script.call('report', 'write', [reportDescriptor, { at: pid }, 8])
  script.call('report', 'close', [reportDescriptor])
  script.call('leave its folder', 'chdir', [{ at: script.text('/') }])
  if (!plan.onTerminal) copyOutput(script, pipe)
  waitAndEnd(script, pid, { in: endFile })

  script.place(child)
  const die = () => prctl(script, 'end with its keeper', 1, 9)
  die()
  script.call('hear signals', 'rt_sigprocmask', [2, { at: open }, 0, 8])
  if (!plan.onTerminal) script.call('begin a session', 'setsid', [])
  for (const path of plan.cgroups) writeFile(script, path, '0', 'enter its cgroup')
  if (plan.userNamespace) mapUser(script, plan.userNamespace, plan.credentials)
  if (!plan.onTerminal)
    for (const output of [1, 2])
      script.call('take the pipe as output', 'dup3', [{ in: pipe, plus: 4 }, output, 0])
  // So that a program that is not root can open /dev/stdout.
  if (!plan.userNamespace)
    script.call('own its output', 'fchown', [1, plan.credentials.uid, plan.credentials.gid])
  script.call('set the mask of new files', 'umask', [0o022])
  if (plan.beside === undefined) {
    const name = Buffer.from(plan.hostname)
    script.call('set the hostname', 'sethostname', [{ at: script.data(name) }, name.length])
  }
  makeRoot(script, plan)
  if (plan.cgroupMounts.length > 0) mountCgroups(script, plan)
  for (const path of foldersOf(plan.workingDir)) makeFolder(script, path)
  if (plan.readOnlyRoot)
    script.call('make the root read-only', 'mount_setattr', [
      here,
      { at: script.text('/') },
      0,
      { at: attributes(script, readOnly) },
      32,
    ])
  script.call(`enter the working directory "${plan.workingDir}"`, 'chdir', [
    { at: script.text(plan.workingDir) },
  ])
  becomeUser(script, plan.credentials, plan.userNamespace !== undefined)
  die()
  const variables = script.room(8)
  // Without the first one, which marks the keeper as ours; a terminal's shell has lost that order.
  script.add({ in: environment }, plan.onTerminal ? 0 : 8, { to: variables })
  execute(script, plan.program, { in: argv }, { in: variables })
  script.jump(failed)

  script.place(failed)
  const over = new Label()
  script.call('report', 'write', [reportDescriptor, { at: failure }, 16], { onError: over })
  script.place(over)
  script.call('end', 'exit_group', [127])
  return script
}

/** Until nobody can write any more, which is when the last process of the namespace has ended. */
function copyOutput(script: Script, pipe: Memory): void {
  const buffer = script.room(bufferBytes)
  const count = script.room(8)
  const copy = new Label()
  const ended = new Label()
  script.call('close its input', 'close', [0], { allow: errno.EBADF })
  script.call('close the pipe', 'close', [{ in: pipe, plus: 4 }])
  script.place(copy)
  script.call('read output', 'read', [{ in: pipe }, { at: buffer }, bufferBytes], {
    to: count,
    onZero: ended,
    onError: ended,
  })
  // A full disk loses output rather than stopping the program.
  script.call('write output', 'write', [1, { at: buffer }, { in: count }], {
    onError: copy,
    onZero: copy,
    next: copy,
  })
  script.place(ended)
}

function enterNamespace(script: Script, path: string, type: number, what: string): void {
  const descriptor = script.room(8)
  script.call(what, 'openat', [here, { at: script.text(path) }, 0x80000, 0], { to: descriptor })
  script.call(what, 'setns', [{ in: descriptor }, type])
  script.call(what, 'close', [{ in: descriptor }])
}

function writeFile(script: Script, path: string, text: string, what: string): void {
  const descriptor = script.room(8)
  const content = script.text(text)
  script.call(`${what} (${path})`, 'openat', [here, { at: script.text(path) }, writeOnly, 0], {
    to: descriptor,
  })
  script.call(`${what} (${path})`, 'write', [
    { in: descriptor },
    { at: content },
    Buffer.byteLength(text),
  ])
  script.call(what, 'close', [{ in: descriptor }])
}

/** One user is all an ordinary user may map: the one that the container runs as. */
function mapUser(
  script: Script,
  { uid, gid }: { readonly uid: number; readonly gid: number },
  inside: Credentials,
): void {
  writeFile(script, '/proc/self/setgroups', 'deny', 'map its user')
  writeFile(script, '/proc/self/uid_map', `${inside.uid} ${uid} 1`, 'map its user')
  writeFile(script, '/proc/self/gid_map', `${inside.gid} ${gid} 1`, 'map its group')
}

function makeRoot(script: Script, plan: ContainerPlan): void {
  const text = (value: string) => ({ at: script.text(value) })
  const mount = (type: string, path: string, flags: number, options: string, allow = 0) =>
    script.call(
      `mount ${type} at ${path}`,
      'mount',
      [text(type), text(path), text(type), flags, text(options)],
      { allow },
    )
  script.call('keep its mounts to itself', 'mount', [
    0,
    text('/'),
    0,
    mountFlags.recursive | mountFlags.private,
    0,
  ])
  const trees = {
    // Made now: without its own /proc in sight, an ordinary user may not mount one.
    processes: newMount(script, 'proc', noSuid | noDevices | noPrograms),
    devices: devices.map((name) => openSource(script, `/dev/${name}`, noSuid)),
    hidden: plan.hiddenFiles.map(() => openSource(script, '/dev/null', noSuid | readOnly)),
    // Only who owns the network may mount what shows it.
    system: plan.userNamespace
      ? openSource(script, '/sys', readOnly | noSuid | noDevices | noPrograms)
      : undefined,
    sharedMemory:
      plan.sharedMemory === undefined
        ? undefined
        : openSource(script, plan.sharedMemory, noSuid | noDevices | noPrograms),
    volumes: plan.mounts.map(({ hostPath, readOnly: only }) =>
      openSource(script, hostPath, noSuid | noDevices | (only ? readOnly : 0)),
    ),
  }
  let { changes } = plan
  if (!changes) {
    const memory = plan.root
    mount('tmpfs', memory, noSuid | noDevices, 'mode=0755')
    for (const name of ['upper', 'work', 'root']) makeFolder(script, `${memory}/${name}`)
    changes = { upper: `${memory}/upper`, work: `${memory}/work` }
  }
  const root = plan.changes ? plan.root : `${plan.root}/root`
  const options = [
    `lowerdir=${escaped(plan.lower)}`,
    `upperdir=${escaped(changes.upper)}`,
    `workdir=${escaped(changes.work)}`,
    ...(plan.userNamespace ? ['userxattr'] : []),
  ]
  mount('overlay', root, noDevices, options.join(','))
  script.call('enter the root', 'chdir', [text(root)])
  script.call('make it the root', 'pivot_root', [text('.'), text('.')])
  script.call("let go of the machine's files", 'umount2', [text('.'), detach])
  script.call('enter the root', 'chdir', [text('/')])

  for (const path of ['/proc', '/sys', '/dev']) makeFolder(script, path)
  attach(script, trees.processes, '/proc')
  if (trees.system) attach(script, trees.system, '/sys')
  else mount('sysfs', '/sys', readOnly | noSuid | noDevices | noPrograms, '')
  mount('tmpfs', '/dev', noSuid | noDevices, 'mode=0755,size=64k')
  for (const [i, name] of devices.entries()) {
    makeFile(script, `/dev/${name}`)
    attach(script, trees.devices[i], `/dev/${name}`)
  }
  makeFolder(script, '/dev/pts')
  makeFolder(script, '/dev/shm')
  const terminals = plan.userNamespace ? '' : ',gid=5'
  mount(
    'devpts',
    '/dev/pts',
    noSuid | noPrograms,
    `newinstance,ptmxmode=0666,mode=0620${terminals}`,
  )
  if (trees.sharedMemory) attach(script, trees.sharedMemory, '/dev/shm')
  else mount('tmpfs', '/dev/shm', noSuid | noDevices | noPrograms, 'mode=1777,size=64m')
  for (const [target, path] of [
    ['pts/ptmx', '/dev/ptmx'],
    ['/proc/self/fd', '/dev/fd'],
    ['/proc/self/fd/0', '/dev/stdin'],
    ['/proc/self/fd/1', '/dev/stdout'],
    ['/proc/self/fd/2', '/dev/stderr'],
  ] as const)
    script.call(`make ${path}`, 'symlinkat', [text(target), here, text(path)])
  for (const path of plan.readOnlyPaths) {
    const tree = openSource(script, path, readOnly | noSuid | noDevices | noPrograms, errno.ENOENT)
    attach(script, tree, path)
  }
  for (const path of plan.hiddenFolders)
    mount('tmpfs', path, readOnly | noSuid | noDevices | noPrograms, 'size=0k', errno.ENOENT)
  for (const [i, path] of plan.hiddenFiles.entries())
    attach(script, trees.hidden[i], path, errno.ENOENT)
  for (const path of plan.imageVolumes) {
    for (const folder of foldersOf(path)) makeFolder(script, folder)
    // A mount of its own does not become read-only with the root.
    if (plan.readOnlyRoot)
      script.call(`keep ${path} writable`, 'mount', [text(path), text(path), 0, mountFlags.bind, 0])
  }
  for (const [i, { path, isFolder }] of plan.mounts.entries()) {
    const folders = foldersOf(path)
    for (const folder of isFolder ? folders : folders.slice(0, -1)) makeFolder(script, folder)
    if (!isFolder) makeFile(script, path)
    attach(script, trees.volumes[i], path)
  }
}

function mountCgroups(script: Script, plan: ContainerPlan): void {
  const text = (value: string) => ({ at: script.text(value) })
  const folder = '/sys/fs/cgroup'
  const flags = noSuid | noDevices | noPrograms
  script.call('make a cgroup namespace', 'unshare', [namespaces.cgroup])
  const [first] = plan.cgroupMounts
  if (first?.name === '') {
    script.call(`mount ${first.type}`, 'mount', [
      text('cgroup'),
      text(folder),
      text(first.type),
      flags | readOnly,
      0,
    ])
    return
  }
  script.call('mount tmpfs', 'mount', [
    text('tmpfs'),
    text(folder),
    text('tmpfs'),
    flags,
    text('mode=0755,size=16k'),
  ])
  for (const { name, type } of plan.cgroupMounts) {
    makeFolder(script, `${folder}/${name}`)
    script.call(`mount cgroup ${name}`, 'mount', [
      text('cgroup'),
      text(`${folder}/${name}`),
      text(type),
      flags | readOnly,
      text(name),
    ])
  }
  script.call('make it read-only', 'mount_setattr', [
    here,
    text(folder),
    0,
    { at: attributes(script, readOnly) },
    32,
  ])
}

/** A new file system, mounted later. */
function newMount(script: Script, type: string, flags: number): Memory {
  const [context, tree] = [script.room(8), script.room(8)]
  const what = `mount ${type}`
  const createNow = 6 // FSCONFIG_CMD_CREATE
  script.call(what, 'fsopen', [{ at: script.text(type) }, 1], { to: context })
  script.call(what, 'fsconfig', [{ in: context }, createNow, 0, 0, 0])
  script.call(what, 'fsmount', [{ in: context }, 1, flags], { to: tree })
  script.call(what, 'close', [{ in: context }])
  return tree
}

/** A file or folder of the machine as a mount of its own; where it goes is said later. */
function openSource(script: Script, path: string, flags: number, allow = 0): Memory {
  const tree = script.room(8)
  script.call(`open ${path}`, 'open_tree', [here, { at: script.text(path) }, openTree], {
    to: tree,
    allow,
  })
  script.call(
    `open ${path}`,
    'mount_setattr',
    [
      { in: tree },
      { at: script.text('') },
      emptyPath | 0x8000,
      { at: attributes(script, flags) },
      32,
    ],
    allow ? { allow: 9 } : {},
  )
  return tree
}

function attach(script: Script, tree: Memory | undefined, path: string, allow = 0): void {
  if (!tree) return
  script.call(
    `mount at ${path}`,
    'move_mount',
    [{ in: tree }, { at: script.text('') }, here, { at: script.text(path) }, moveTree],
    { allow },
  )
  script.call(`mount at ${path}`, 'close', [{ in: tree }])
}

const attributes = (script: Script, flags: number): Memory => {
  const bytes = Buffer.alloc(32)
  bytes.writeUInt32LE(flags, 0)
  return script.data(bytes)
}

function makeFolder(script: Script, path: string, allow: number = errno.EEXIST): void {
  script.call(`make the folder ${path}`, 'mkdirat', [here, { at: script.text(path) }, 0o755], {
    allow,
  })
}

function makeFile(script: Script, path: string): void {
  const file = script.room(8)
  const next = new Label()
  script.call(
    `make the file ${path}`,
    'openat',
    [here, { at: script.text(path) }, 0x80000 | create, 0o644],
    {
      to: file,
    },
  )
  script.call(`make the file ${path}`, 'close', [{ in: file }], { next, onError: next })
  script.place(next)
}

/** `/a`, `/a/b` for `/a/b`. */
function foldersOf(path: string): readonly string[] {
  const parts = path.split('/').filter((part) => part !== '')
  return parts.map((_, i) => `/${parts.slice(0, i + 1).join('/')}`)
}

/** overlayfs reads `:` and `,` in its options. */
const escaped = (path: string): string => path.replaceAll(/[\\:,]/g, String.raw`\$&`)
