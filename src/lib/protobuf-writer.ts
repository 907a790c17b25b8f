/** Writes protocol-buffer messages (the wire format of proto3): varints, fixed numbers, strings, bytes, nested messages. */

const varintWire = 0
const fixed64Wire = 1
const lengthWire = 2
const fixed32Wire = 5

export class ProtobufWriter {
  readonly #parts: Buffer[] = []

  /** Fields with their zero value are left out, as proto3 does. */
  string(field: number, value: string): this {
    return value === '' ? this : this.bytes(field, Buffer.from(value, 'utf8'))
  }

  bytes(field: number, value: Uint8Array): this {
    if (value.length === 0) return this
    this.#varint(BigInt(field * 8 + lengthWire))
    this.#varint(BigInt(value.length))
    this.#parts.push(Buffer.from(value))
    return this
  }

  /** Non-negative integers, enums, booleans as 0 and 1. */
  varint(field: number, value: number | bigint): this {
    if (BigInt(value) === 0n) return this
    this.#varint(BigInt(field * 8 + varintWire))
    this.#varint(BigInt.asUintN(64, BigInt(value)))
    return this
  }

  fixed64(field: number, value: bigint): this {
    this.#varint(BigInt(field * 8 + fixed64Wire))
    const bytes = Buffer.alloc(8)
    bytes.writeBigUInt64LE(BigInt.asUintN(64, value))
    this.#parts.push(bytes)
    return this
  }

  fixed32(field: number, value: number): this {
    this.#varint(BigInt(field * 8 + fixed32Wire))
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32LE(value >>> 0)
    this.#parts.push(bytes)
    return this
  }

  double(field: number, value: number): this {
    this.#varint(BigInt(field * 8 + fixed64Wire))
    const bytes = Buffer.alloc(8)
    bytes.writeDoubleLE(value)
    this.#parts.push(bytes)
    return this
  }

  /** A nested message, written even when empty. */
  message(field: number, write: (writer: ProtobufWriter) => void): this {
    const nested = new ProtobufWriter()
    write(nested)
    const bytes = nested.finish()
    this.#varint(BigInt(field * 8 + lengthWire))
    this.#varint(BigInt(bytes.length))
    this.#parts.push(bytes)
    return this
  }

  finish(): Buffer {
    return Buffer.concat(this.#parts)
  }

  #varint(value: bigint): void {
    const bytes: number[] = []
    while (value > 0x7fn) {
      bytes.push(Number(value & 0x7fn) | 0x80)
      value >>= 7n
    }
    bytes.push(Number(value))
    this.#parts.push(Buffer.from(bytes))
  }
}
