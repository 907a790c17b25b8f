/**
 * Builds a list of system calls for the program of init-program.ts: steps, what they point to, and where to go on. Each
 * step says what it is for, so that a failure can be told in words.
 */
import { maxScriptBytes, scriptBase, type Machine } from './init-program.ts'
import { syscallNumbers, type Syscall } from './syscalls.ts'

/** Bytes of the script's memory that a step may point to. */
export class Memory {
  readonly bytes: Uint8Array
  readonly offset: number
  /** The program's own, what the file brings, or what is zero at first and so is not in the file. */
  readonly region: 'header' | 'data' | 'room'

  constructor(bytes: Uint8Array, offset: number, region: Memory['region']) {
    this.bytes = bytes
    this.offset = offset
    this.region = region
  }
}

/** A step that others go on at. */
export class Label {
  step: number | undefined
}

/** A number, the address of memory (plus so many bytes), or the 8 bytes that lie there when the step is made. */
export type Argument =
  | number
  | { readonly at: Memory; readonly plus?: number }
  | { readonly in: Memory; readonly plus?: number }

export interface StepOptions {
  /** Where the result goes. */
  readonly to?: Memory
  /** The one error that does not matter. */
  readonly allow?: number
  /** Where to go on after any other; default: the script has failed. */
  readonly onError?: Label
  /** Where to go on after result 0; default: the next step. */
  readonly onZero?: Label
  /** Where to go on otherwise. */
  readonly next?: Label
}

interface Step extends StepOptions {
  readonly number: number
  readonly args: readonly Argument[]
}

const headerBytes = 64
const noBytes = new Uint8Array(0)
const stepBytes = 13 * 8
/** Number of the step that adds its first two arguments. */
const addition = -1

/** Memory that the program itself fills in. */
const header = (offset: number) => new Memory(new Uint8Array(0), offset, 'header')
export const argv = header(0)
export const environment = header(8)
/** Error (negative) and address of the step that failed: 16 bytes. */
export const failure = header(16)

export class Script {
  readonly #machine: Machine
  readonly #steps: Step[] = []
  readonly #whats: string[] = []
  readonly #memory: Memory[] = []
  readonly #texts = new Map<string, Memory>()
  #used = 0
  #zeroes = 0
  #onFailure: Label | undefined

  constructor(machine: Machine) {
    this.#machine = machine
  }

  /** A text with its final NUL. Throws for one that has a NUL inside. */
  text(value: string): Memory {
    if (value.includes('\0'))
      throw new Error(`${JSON.stringify(value.slice(0, 80))} has a NUL byte`)
    let found = this.#texts.get(value)
    if (!found) this.#texts.set(value, (found = this.data(Buffer.from(`${value}\0`))))
    return found
  }

  data(bytes: Uint8Array): Memory {
    const memory = new Memory(bytes, this.#used, 'data')
    this.#used += (bytes.length + 7) & ~7
    this.#memory.push(memory)
    return memory
  }

  /** Zeroed memory. */
  room(bytes: number): Memory {
    const memory = new Memory(noBytes, this.#zeroes, 'room')
    this.#zeroes += (bytes + 7) & ~7
    return memory
  }

  /** Part of memory, from `offset` on. */
  view({ bytes, offset, region }: Memory, from: number): Memory {
    return new Memory(bytes.subarray(from), offset + from, region)
  }

  /** Adds a step. `what` completes "could not …". */
  call(what: string, name: Syscall, args: readonly Argument[], options: StepOptions = {}): void {
    this.#whats.push(what)
    this.#steps.push({ ...options, args, number: syscallNumbers[name][this.#machine] })
  }

  /** Adds numbers: a branch on whether something has a value, or a value for a later step. */
  add(a: Argument, b: number, options: StepOptions = {}): void {
    this.#whats.push('add')
    this.#steps.push({ ...options, args: [a, b], number: addition })
  }

  /** Goes on at `label`. */
  jump(label: Label): void {
    this.add(1, 0, { next: label })
  }

  /** The next step is where `label` leads. */
  place(label: Label): void {
    label.step = this.#steps.length
  }

  /** Where to go on when a step fails that does not say itself. */
  onFailure(label: Label): void {
    this.#onFailure = label
  }

  /** What the step did whose address was reported. */
  whatAt(address: number): string {
    return (
      this.#whats[(address - scriptBase - headerBytes) / stepBytes] ?? 'do what nobody asked for'
    )
  }

  /** All of `what`, by step; kept by whoever reads reports later. */
  bytes(): Uint8Array {
    const dataAt = headerBytes + this.#steps.length * stepBytes
    const roomAt = dataAt + this.#used
    if (roomAt + this.#zeroes > maxScriptBytes)
      throw new Error(
        `the container needs ${roomAt + this.#zeroes} bytes of instructions; at most ${maxScriptBytes} can be had`,
      )
    const file = new Uint8Array(roomAt)
    const words = new Int32Array(file.buffer, 0, dataAt / 4) // both machines are little-endian
    const begins = { header: 0, data: dataAt, room: roomAt }
    const address = ({ region, offset }: Memory, plus = 0) =>
      scriptBase + begins[region] + offset + plus
    const stepAt = (label: Label | undefined): number => {
      if (!label) return 0
      if (label.step === undefined) throw new Error('a step leads nowhere')
      return scriptBase + headerBytes + label.step * stepBytes
    }
    words[8] = stepAt(this.#onFailure)
    for (const [i, step] of this.#steps.entries()) {
      const at = headerBytes + i * stepBytes
      const word = (index: number, value: number) => {
        words[at / 4 + index * 2] = value
        words[at / 4 + index * 2 + 1] = Math.floor(value / 2 ** 32)
      }
      let indirect = 0
      word(0, step.number)
      for (let n = 0; n < step.args.length; n++) {
        const argument = step.args[n] ?? 0
        if (typeof argument === 'number') word(1 + n, argument)
        else if ('at' in argument) word(1 + n, address(argument.at, argument.plus))
        else {
          if (n > 3) throw new Error('only the first four arguments can be loaded')
          indirect |= 1 << n
          word(1 + n, address(argument.in, argument.plus))
        }
      }
      word(7, indirect)
      word(8, step.to ? address(step.to) : 0)
      word(9, stepAt(step.onError))
      word(10, step.allow ?? 0)
      word(11, stepAt(step.onZero))
      word(12, step.next ? stepAt(step.next) : scriptBase + at + stepBytes)
    }
    for (const memory of this.#memory) file.set(memory.bytes, dataAt + memory.offset)
    return file
  }
}
