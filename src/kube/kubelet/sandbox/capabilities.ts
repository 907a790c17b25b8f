/** Linux capabilities by name, the list that containers have by default (Docker's), and what a pod makes of it. */
import type { ContainerSecurity } from '../runtime.ts'

/** In the kernel's order (linux/capability.h). */
export const capabilityNames = [
  'CHOWN',
  'DAC_OVERRIDE',
  'DAC_READ_SEARCH',
  'FOWNER',
  'FSETID',
  'KILL',
  'SETGID',
  'SETUID',
  'SETPCAP',
  'LINUX_IMMUTABLE',
  'NET_BIND_SERVICE',
  'NET_BROADCAST',
  'NET_ADMIN',
  'NET_RAW',
  'IPC_LOCK',
  'IPC_OWNER',
  'SYS_MODULE',
  'SYS_RAWIO',
  'SYS_CHROOT',
  'SYS_PTRACE',
  'SYS_PACCT',
  'SYS_ADMIN',
  'SYS_BOOT',
  'SYS_NICE',
  'SYS_RESOURCE',
  'SYS_TIME',
  'SYS_TTY_CONFIG',
  'MKNOD',
  'LEASE',
  'AUDIT_WRITE',
  'AUDIT_CONTROL',
  'SETFCAP',
  'MAC_OVERRIDE',
  'MAC_ADMIN',
  'SYSLOG',
  'WAKE_ALARM',
  'BLOCK_SUSPEND',
  'AUDIT_READ',
  'PERFMON',
  'BPF',
  'CHECKPOINT_RESTORE',
] as const

const byDefault: readonly string[] = [
  'CHOWN',
  'DAC_OVERRIDE',
  'FSETID',
  'FOWNER',
  'MKNOD',
  'NET_RAW',
  'SETGID',
  'SETUID',
  'SETFCAP',
  'SETPCAP',
  'NET_BIND_SERVICE',
  'SYS_CHROOT',
  'KILL',
  'AUDIT_WRITE',
]

/** The pod names a capability that there is none of. */
export class NoCapability extends Error {
  override readonly name = 'NoCapability'
}

/** Names without CAP_, in the kernel's order. `ALL` means all; what is dropped by name goes before what is added by ALL. */
export function capabilitiesOf({
  addCapabilities = [],
  dropCapabilities = [],
}: Pick<ContainerSecurity, 'addCapabilities' | 'dropCapabilities'>): readonly string[] {
  const add = addCapabilities.map(known)
  const drop = dropCapabilities.map(known)
  return capabilityNames.filter((name) => {
    if (add.includes(name)) return true
    if (drop.includes(name)) return false
    if (add.includes('ALL')) return true
    return !drop.includes('ALL') && byDefault.includes(name)
  })
}

export const capabilityNumber = (name: string): number =>
  capabilityNames.findIndex((each) => each === name)

function known(text: string): string {
  const name = text.toUpperCase().replace(/^CAP_/, '')
  if (name !== 'ALL' && capabilityNumber(name) < 0)
    throw new NoCapability(
      `there is no capability "${text}"; expected ALL or one of Linux', such as NET_ADMIN`,
    )
  return name
}
