/**
 * The program that holds a pod's namespaces. Containers of one pod share a network, and it must outlive each of them:
 * so every pod has a container that only waits, as Kubernetes' pause container does. It can't be pulled where there is no
 * registry, so its program, a few instructions, is put together here as an ELF file (System V ABI, ELF-64) and loaded
 * as an image FROM scratch. See docs/decisions/013-pod-holder.md.
 */
import { createHash } from 'node:crypto'

interface Machine {
  /** e_machine. */
  readonly elf: number
  /** As OCI images name it. */
  readonly architecture: string
  /** Waits forever, again after each signal. */
  readonly code: readonly number[]
}

const machines: Readonly<Record<string, Machine>> = {
  x86_64: {
    elf: 62,
    architecture: 'amd64',
    // mov eax, 34 (pause); syscall; jmp to the beginning
    code: [0xb8, 0x22, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7],
  },
  aarch64: {
    elf: 183,
    architecture: 'arm64',
    // mov x0..x3, 0; mov x8, 73 (ppoll); svc 0; b to the beginning
    code: [
      0xd2800000, 0xd2800001, 0xd2800002, 0xd2800003, 0xd2800928, 0xd4000001, 0x17fffffa,
    ].flatMap((word) => [word & 255, (word >>> 8) & 255, (word >>> 16) & 255, word >>> 24]),
  },
}
const sameMachine: Readonly<Record<string, string>> = { amd64: 'x86_64', arm64: 'aarch64' }

const loadAddress = 0x40_0000n
const headBytes = 64
const segmentBytes = 56

/** The program for a machine as `uname -m` names it. Throws when there is none. */
export function holderProgram(machineName: string): Buffer {
  const { elf, code } = machineOf(machineName)
  const entry = headBytes + segmentBytes
  const file = Buffer.alloc(entry + code.length)
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]) // ELF, 64 bits, little-endian, version 1
  file.writeUInt16LE(2, 16) // executable
  file.writeUInt16LE(elf, 18)
  file.writeUInt32LE(1, 20)
  file.writeBigUInt64LE(loadAddress + BigInt(entry), 24)
  file.writeBigUInt64LE(BigInt(headBytes), 32) // the segment's head follows
  file.writeUInt16LE(headBytes, 52)
  file.writeUInt16LE(segmentBytes, 54)
  file.writeUInt16LE(1, 56)
  file.writeUInt32LE(1, headBytes) // to be loaded
  file.writeUInt32LE(5, headBytes + 4) // readable, executable
  file.writeBigUInt64LE(loadAddress, headBytes + 16)
  file.writeBigUInt64LE(loadAddress, headBytes + 24)
  file.writeBigUInt64LE(BigInt(file.length), headBytes + 32)
  file.writeBigUInt64LE(BigInt(file.length), headBytes + 40)
  file.writeBigUInt64LE(0x1000n, headBytes + 48)
  file.set(code, entry)
  return file
}

export interface SmallImage {
  readonly config: Buffer
  readonly layer: Buffer
}

/** The program as an image: config and one layer. */
export async function holderImage(machineName: string): Promise<SmallImage> {
  const { pack } = await import('tar-stream')
  const tar = pack()
  const epoch = new Date(0)
  tar.entry({ name: 'hold', mode: 0o755, mtime: epoch }, holderProgram(machineName))
  tar.finalize()
  const chunks: Uint8Array[] = []
  for await (const chunk of tar) if (chunk instanceof Uint8Array) chunks.push(chunk)
  const layer = Buffer.concat(chunks)
  const config = Buffer.from(
    JSON.stringify({
      created: epoch.toISOString(),
      architecture: machineOf(machineName).architecture,
      os: 'linux',
      config: { Entrypoint: ['/hold'], WorkingDir: '/' },
      rootfs: {
        type: 'layers',
        diff_ids: [`sha256:${createHash('sha256').update(layer).digest('hex')}`],
      },
      history: [{ created: epoch.toISOString(), created_by: 'ebb (holder of a pod)' }],
    }),
  )
  return { config, layer }
}

function machineOf(name: string): Machine {
  const machine = machines[sameMachine[name] ?? name]
  if (!machine)
    throw new Error(
      `the Docker engine runs on a machine of type "${name}"; pods can be held on x86_64 and aarch64`,
    )
  return machine
}
