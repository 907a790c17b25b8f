/**
 * The one program that makes and enters sandboxes: a static ELF file of a few hundred bytes that any Linux can run, made
 * here, so that nothing has to be installed. It reads a list of system calls from the file that its first argument names
 * (script.ts) and makes them one after another; what to do is decided in TypeScript. Both code blocks are the same
 * loop, assembled with GNU as from the listing below. The decision is docs/decisions/014-own-root.md.
 *
 *   start:  open(argv[1], O_RDONLY|O_CLOEXEC); read 1 MiB to `base`; close
 *           base[0] = &argv[2]; base[8] = &envp[0]; step = base + 64
 *   next:   load number and six arguments of the step; argument i of the first four is loaded from its address if bit i
 *           of `indirect` is set
 *           result = number < 0 ? argument 0 + argument 1 : the system call
 *           if (step.store) *step.store = result
 *           if (result == 0)        step = step.onZero || step.next
 *           else if (-4095..-1)     step = -result == step.allowed ? step.next
 *                                     : (base[16] = result, base[24] = step, step.onError || base[32])
 *           else                    step = step.next
 *           goto next
 */

/** Where the script lies in memory, and how long it may be. */
export const scriptBase = 0x1000_0000
export const maxScriptBytes = 1 << 20

export type Machine = 'x64' | 'arm64'

const codeAddress = 0x40_0000
const pageSize = 0x1_0000 // arm64 may have pages of 64 KiB

const code: Readonly<Record<Machine, string>> = {
  x64: `
    4889e5bb00000010488b7d10be0000080031d2b8020000000f0589c74889deba
    0000100031c00f05b8030000000f05488d4518488903488b4d00488d44cd1048
    8943084c8d6340498b0424418b4c2438498b7c2408f6c1017403488b3f498b74
    2410f6c1027403488b36498b542418f6c1047403488b124d8b542420f6c10874
    034d8b124d8b4424284d8b4c24304885c078040f05eb04488d0437498b4c2440
    4885c974034889014885c0740f483d01f0ffff73194d8b642460eb8b498b4c24
    584885c974ef4989cce979ffffff4889c148f7d9493b4c245074da488943104c
    896318498b4c24484885c9480f444b204989cce94fffffff`,
  arm64: `
    fd0300911300a2d2600c8092a10b40f90201a0d2030080d2080780d2010000d4
    f40300aae10313aa0202a0d2e80780d2010000d4e00314aa280780d2010000d4
    a0630091600200f9a10340f9a00f018b00400091600600f974020191880240a9
    810a41a9831242a9852643a949000036000040f949000836210040f949001036
    420040f949001836630040f96800f8b7010000d4020000140000018b892240f9
    490000b4200100f9a00000b41ffc3fb1e2000054943240f9e9ffff17892e40f9
    a9ffffb4f40309aae5ffff17ea0300cb892a40f93f010aebe0feff54605201a9
    892640f9490000b5691240f9f40309aadbffff17`,
}

const machineNumbers: Readonly<Record<Machine, number>> = { x64: 62, arm64: 183 }

/** The program as a file's content (ELF-64, System V ABI chapter 4): code, zeroed memory for the script, no executable stack. */
export function initProgram(machine: Machine): Uint8Array {
  const bytes = Buffer.from(code[machine].replaceAll(/\s/g, ''), 'hex')
  const headers = 64 + 3 * 56
  const file = Buffer.alloc(headers + bytes.length)
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1])
  file.writeUInt16LE(2, 16) // ET_EXEC
  file.writeUInt16LE(machineNumbers[machine], 18)
  file.writeUInt32LE(1, 20)
  file.writeBigUInt64LE(BigInt(codeAddress + headers), 24)
  file.writeBigUInt64LE(64n, 32)
  file.writeUInt16LE(64, 52)
  file.writeUInt16LE(56, 54)
  file.writeUInt16LE(3, 56)
  file.writeUInt16LE(64, 58)
  const segments = [
    { type: 1, flags: 5, address: codeAddress, fileBytes: file.length, bytes: file.length },
    { type: 1, flags: 6, address: scriptBase, fileBytes: 0, bytes: maxScriptBytes },
    { type: 0x6474e551, flags: 6, address: 0, fileBytes: 0, bytes: 0 }, // PT_GNU_STACK
  ]
  for (const [i, segment] of segments.entries()) {
    const at = 64 + i * 56
    file.writeUInt32LE(segment.type, at)
    file.writeUInt32LE(segment.flags, at + 4)
    file.writeBigUInt64LE(BigInt(segment.address), at + 16)
    file.writeBigUInt64LE(BigInt(segment.address), at + 24)
    file.writeBigUInt64LE(BigInt(segment.fileBytes), at + 32)
    file.writeBigUInt64LE(BigInt(segment.bytes), at + 40)
    file.writeBigUInt64LE(BigInt(segment.type === 1 ? pageSize : 16), at + 48)
  }
  bytes.copy(file, headers)
  return file
}
