/** Numbers of the system calls that scripts are made of (Linux: arch/x86/entry/syscalls/syscall_64.tbl, asm-generic/unistd.h). */
import type { Machine } from './init-program.ts'

const both = (x64: number, arm64 = x64): Readonly<Record<Machine, number>> => ({ x64, arm64 })

export const syscallNumbers = {
  read: both(0, 63),
  write: both(1, 64),
  close: both(3, 57),
  rt_sigprocmask: both(14, 135),
  ioctl: both(16, 29),
  clone: both(56, 220),
  execve: both(59, 221),
  fcntl: both(72, 25),
  chdir: both(80, 49),
  fchown: both(93, 55),
  umask: both(95, 166),
  setuid: both(105, 146),
  setgid: both(106, 144),
  setsid: both(112, 157),
  setgroups: both(116, 159),
  pivot_root: both(155, 41),
  prctl: both(157, 167),
  mount: both(165, 40),
  umount2: both(166, 39),
  sethostname: both(170, 161),
  exit_group: both(231, 94),
  waitid: both(247, 95),
  openat: both(257, 56),
  mkdirat: both(258, 34),
  symlinkat: both(266, 36),
  unshare: both(272, 97),
  dup3: both(292, 24),
  pipe2: both(293, 59),
  setns: both(308, 268),
  seccomp: both(317, 277),
  open_tree: both(428),
  move_mount: both(429),
  fsopen: both(430),
  fsconfig: both(431),
  fsmount: both(432),
  pidfd_open: both(434),
  close_range: both(436),
  mount_setattr: both(442),
} as const satisfies Readonly<Record<string, Readonly<Record<Machine, number>>>>

export type Syscall = keyof typeof syscallNumbers

/** Errors by number, in the words of strerror, as far as a start meets them (the same on all machines). */
const errors: Readonly<Record<number, string>> = {
  1: 'operation not permitted',
  2: 'no such file or directory',
  5: 'input/output error',
  7: 'argument list too long',
  8: 'exec format error',
  11: 'resource temporarily unavailable',
  12: 'cannot allocate memory',
  13: 'permission denied',
  16: 'device or resource busy',
  19: 'no such device',
  20: 'not a directory',
  21: 'is a directory',
  22: 'invalid argument',
  26: 'text file busy',
  28: 'no space left on device',
  30: 'read-only file system',
  36: 'file name too long',
  38: 'function not implemented',
  40: 'too many levels of symbolic links',
  95: 'operation not supported',
}

export const errorText = (errno: number): string => errors[errno] ?? `error ${errno}`

export const errno = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EBADF: 9,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  ENOTDIR: 20,
  EINVAL: 22,
  ENOSPC: 28,
  ENOSYS: 38,
} as const
