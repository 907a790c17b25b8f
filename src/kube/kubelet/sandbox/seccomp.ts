/**
 * The default filter of system calls (seccomp, RuntimeDefault): a program for the kernel's own little machine (BPF), made
 * here. What Docker's profile keeps from containers is refused here too, unless the container has the capability that the
 * call is of any use with. It names what is refused rather than what is allowed, so it is short; calls that are newer
 * than the list do not exist for containers (ENOSYS), and programs fall back as on an older kernel.
 */
import type { Machine } from './init-program.ts'
import { capabilityNumber } from './capabilities.ts'
import { errno } from './syscalls.ts'

const none = -1
type Numbers = readonly [x64: number, arm64: number]

/** Refused with EPERM unless the container has one of the capabilities. */
const refused: readonly {
  readonly unless: readonly string[]
  readonly calls: Readonly<Record<string, Numbers>>
}[] = [
  {
    unless: [],
    calls: {
      add_key: [248, 217],
      create_module: [174, none],
      get_kernel_syms: [177, none],
      keyctl: [250, 219],
      request_key: [249, 218],
      nfsservctl: [180, 42],
      query_module: [178, none],
      sysfs: [139, none],
      sysctl: [156, none],
      uselib: [134, none],
      userfaultfd: [323, 282],
      ustat: [136, none],
      io_uring_setup: [425, 425],
      io_uring_enter: [426, 426],
      io_uring_register: [427, 427],
      vserver: [236, none],
    },
  },
  {
    unless: ['SYS_ADMIN'],
    calls: {
      mount: [165, 40],
      umount2: [166, 39],
      pivot_root: [155, 41],
      unshare: [272, 97],
      setns: [308, 268],
      fsopen: [430, 430],
      fsconfig: [431, 431],
      fsmount: [432, 432],
      fspick: [433, 433],
      move_mount: [429, 429],
      open_tree: [428, 428],
      mount_setattr: [442, 442],
      quotactl: [179, 60],
      quotactl_fd: [443, 443],
      setdomainname: [171, 162],
      sethostname: [170, 161],
      swapon: [167, 224],
      swapoff: [168, 225],
      lookup_dcookie: [212, 18],
      fanotify_init: [300, 262],
    },
  },
  { unless: ['SYS_ADMIN', 'BPF'], calls: { bpf: [321, 280] } },
  { unless: ['SYS_ADMIN', 'PERFMON'], calls: { perf_event_open: [298, 241] } },
  {
    unless: ['SYS_MODULE'],
    calls: { init_module: [175, 105], finit_module: [313, 273], delete_module: [176, 106] },
  },
  {
    unless: ['SYS_BOOT'],
    calls: { reboot: [169, 142], kexec_load: [246, 104], kexec_file_load: [320, 294] },
  },
  { unless: ['SYS_RAWIO'], calls: { ioperm: [173, none], iopl: [172, none] } },
  { unless: ['SYS_TIME'], calls: { settimeofday: [164, 170], clock_settime: [227, 112] } },
  { unless: ['SYS_PACCT'], calls: { acct: [163, 89] } },
  { unless: ['SYS_PTRACE'], calls: { kcmp: [312, 272] } },
  {
    unless: ['SYS_NICE'],
    calls: {
      get_mempolicy: [239, 236],
      mbind: [237, 235],
      set_mempolicy: [238, 237],
      move_pages: [279, 239],
      migrate_pages: [256, 238],
      set_mempolicy_home_node: [450, 450],
    },
  },
  { unless: ['DAC_READ_SEARCH'], calls: { open_by_handle_at: [304, 265] } },
  { unless: ['SYS_TTY_CONFIG'], calls: { vhangup: [153, 58] } },
  { unless: ['SYSLOG'], calls: { syslog: [103, 116] } },
]

/**
 * Where one user is all there is, changes of owner and of user seem to succeed and change nothing: installers and servers
 * that begin as root go on (as Charliecloud does).
 */
const pretended: readonly Numbers[] = [
  [92, none], // chown
  [93, 55], // fchown
  [94, none], // lchown
  [260, 54], // fchownat
  [105, 146], // setuid
  [106, 144], // setgid
  [116, 159], // setgroups
  [113, 145], // setreuid
  [114, 143], // setregid
  [117, 147], // setresuid
  [119, 149], // setresgid
]

const special = {
  clone: [56, 220],
  clone3: [435, 435],
  personality: [135, 92],
  socket: [41, 198],
} as const satisfies Readonly<Record<string, Numbers>>

/** The newest call that this list was made in knowledge of (removexattrat, Linux 6.13). */
const newestKnown = 466
const namespaceFlags = 0x7e02_0000
/** What programs may tell `personality`: Linux, 32 bits, no random addresses, both, or just asking. */
const personalities = [0, 8, 0x20000, 0x20008, 0xffff_ffff]
const vsock = 40

const architecture: Readonly<Record<Machine, number>> = { x64: 0xc000_003e, arm64: 0xc000_00b7 }

const load = 0x20
const ifEqual = 0x15
const ifAtLeast = 0x35
const ifAnyBit = 0x45
const answer = 0x06
const allow = 0x7fff_0000
const fail = (error: number): number => 0x0005_0000 + error
/** Offsets in struct seccomp_data (little-endian, so the low half of an argument comes first). */
const at = { number: 0, architecture: 4, argument: 16 } as const

/** Code for the filter. `capabilities`: numbers of those the container has; `oneUser`: nobody else is mapped into it. */
export function seccompFilter(
  machine: Machine,
  capabilities: readonly number[],
  oneUser = false,
): Uint8Array {
  const has = (name: string) => capabilities.includes(capabilityNumber(name))
  const code: (readonly [number, number, number, number])[] = []
  const emit = (operation: number, value: number, yes = 0, no = 0) =>
    code.push([operation, yes, no, value])
  const numberOf = (numbers: Numbers) => numbers[machine === 'x64' ? 0 : 1]
  const answerTo = (numbers: Numbers, value: number) => {
    if (numberOf(numbers) === none) return
    emit(ifEqual, numberOf(numbers), 0, 1)
    emit(answer, value)
  }
  emit(load, at.architecture)
  emit(ifEqual, architecture[machine], 1, 0)
  emit(answer, fail(errno.ENOSYS)) // 32-bit programs
  emit(load, at.number)
  const isAdmin = has('SYS_ADMIN')
  emit(ifAtLeast, isAdmin ? 0x4000_0000 : newestKnown + 1, 0, 1)
  emit(answer, fail(errno.ENOSYS))
  if (oneUser) for (const numbers of pretended) answerTo(numbers, fail(0))
  for (const { unless, calls } of refused) {
    if (unless.some(has)) continue
    for (const numbers of Object.values(calls)) answerTo(numbers, fail(errno.EPERM))
  }
  emit(ifEqual, numberOf(special.personality), 0, 3 + personalities.length)
  emit(load, at.argument)
  for (const [i, value] of personalities.entries())
    emit(ifEqual, value, personalities.length - i, 0)
  emit(answer, fail(errno.EPERM))
  emit(answer, allow)
  emit(ifEqual, numberOf(special.socket), 0, 4)
  emit(load, at.argument)
  emit(ifEqual, vsock, 0, 1)
  emit(answer, fail(errno.EPERM))
  emit(answer, allow)
  if (!isAdmin) {
    // Its flags lie in memory, where a filter can not look.
    answerTo(special.clone3, fail(errno.ENOSYS))
    emit(ifEqual, numberOf(special.clone), 0, 4)
    emit(load, at.argument)
    emit(ifAnyBit, namespaceFlags, 0, 1)
    emit(answer, fail(errno.EPERM))
    emit(answer, allow)
  }
  emit(answer, allow)
  const bytes = Buffer.alloc(code.length * 8)
  for (const [i, [operation, yes, no, value]] of code.entries()) {
    bytes.writeUInt16LE(operation, i * 8)
    bytes.writeUInt8(yes, i * 8 + 2)
    bytes.writeUInt8(no, i * 8 + 3)
    bytes.writeUInt32LE(value >>> 0, i * 8 + 4)
  }
  return bytes
}
