/** IP addresses and networks as numbers, for CEL's `ip` and `cidr`. Texts have been checked by whoever makes one. */
import { isIPv4 } from 'node:net'

export class Address {
  readonly family: 4 | 6
  readonly value: bigint
  readonly #text: string

  constructor(text: string) {
    this.#text = text
    this.family = isIPv4(text) ? 4 : 6
    this.value = this.family === 4 ? fromIPv4(text) : fromIPv6(text)
  }

  get size(): number {
    return this.family === 4 ? 32 : 128
  }

  get isLoopback(): boolean {
    return this.family === 4 ? this.value >> 24n === 127n : this.value === 1n
  }

  get isLinkLocalUnicast(): boolean {
    return this.family === 4 ? this.value >> 16n === 0xa9fen : this.value >> 118n === 0x3fan
  }

  get isMulticast(): boolean {
    return this.family === 4 ? this.value >> 28n === 0xen : this.value >> 120n === 0xffn
  }

  get isLinkLocalMulticast(): boolean {
    return this.family === 4 ? this.value >> 8n === 0xe00000n : this.value >> 112n === 0xff02n
  }

  get isGlobalUnicast(): boolean {
    const isBroadcast = this.family === 4 && this.value === 0xffffffffn
    return (
      this.value !== 0n &&
      !isBroadcast &&
      !this.isLoopback &&
      !this.isMulticast &&
      !this.isLinkLocalUnicast
    )
  }

  toString(): string {
    return this.#text
  }
}

export class Network {
  readonly address: Address
  readonly bits: number

  constructor(text: string) {
    const slash = text.indexOf('/')
    this.address = new Address(text.slice(0, slash))
    this.bits = Number(text.slice(slash + 1))
  }

  contains(address: Address): boolean {
    if (address.family !== this.address.family) return false
    const rest = BigInt(this.address.size - this.bits)
    return address.value >> rest === this.address.value >> rest
  }

  includes(other: Network): boolean {
    return other.bits >= this.bits && this.contains(other.address)
  }

  masked(): Network {
    const rest = BigInt(this.address.size - this.bits)
    const value = (this.address.value >> rest) << rest
    return new Network(`${this.address.family === 4 ? toIPv4(value) : toIPv6(value)}/${this.bits}`)
  }

  toString(): string {
    return `${String(this.address)}/${this.bits}`
  }
}

const fromIPv4 = (text: string): bigint =>
  text.split('.').reduce((value, part) => (value << 8n) | BigInt(Number(part)), 0n)

function fromIPv6(text: string): bigint {
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text)
  const plain = dotted
    ? `${dotted[1]}${(fromIPv4(dotted[2] ?? '') >> 16n).toString(16)}:${(fromIPv4(dotted[2] ?? '') & 0xffffn).toString(16)}`
    : text
  const [head = '', tail] = plain.split('::')
  const groups = (part: string) => (part === '' ? [] : part.split(':'))
  const [left, right] = [groups(head), groups(tail ?? '')]
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length
  return [...left, ...Array<string>(Math.max(zeros, 0)).fill('0'), ...right].reduce(
    (value, group) => (value << 16n) | BigInt(`0x${group || '0'}`),
    0n,
  )
}

const toIPv4 = (value: bigint): string =>
  [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 0xffn).join('.')

const toIPv6 = (value: bigint): string =>
  new URL(
    `http://[${[112n, 96n, 80n, 64n, 48n, 32n, 16n, 0n]
      .map((shift) => ((value >> shift) & 0xffffn).toString(16))
      .join(':')}]`,
  ).hostname.slice(1, -1)
