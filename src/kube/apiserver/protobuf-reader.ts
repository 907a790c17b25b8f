/** Reads the wire format of protobuf (proto2) field by field. Every length is checked against the bytes that are there. */
const utf8 = new TextDecoder('utf-8', { fatal: true })

export class ProtobufReader {
  readonly #bytes: Uint8Array
  #at = 0
  #value = 0
  #end = 0
  #wire = 0
  #field = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** Number of the field that `next` came to. */
  get field(): number {
    return this.#field
  }

  /** Goes to the next field; false at the end. Throws on damaged input. */
  next(): boolean {
    this.#at = this.#end
    if (this.#at >= this.#bytes.length) return false
    const tag = Number(this.#varint())
    this.#field = Math.floor(tag / 8)
    this.#wire = tag % 8
    if (this.#field === 0) throw new Error('field number 0')
    switch (this.#wire) {
      case 0:
        this.#value = this.#at
        this.#varint()
        this.#end = this.#at
        break
      case 1:
        this.#fixed(8)
        break
      case 2: {
        const length = Number(this.#varint())
        this.#fixed(length)
        break
      }
      case 5:
        this.#fixed(4)
        break
      default:
        throw new Error(`wire type ${this.#wire}`)
    }
    return true
  }

  #fixed(length: number): void {
    if (length < 0 || length > this.#bytes.length - this.#at) throw new Error('unexpected end')
    this.#value = this.#at
    this.#end = this.#at + length
  }

  #varint(): bigint {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) throw new Error('unexpected end')
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return BigInt.asUintN(64, value)
    }
    throw new Error('varint too long')
  }

  /** The bytes of a length-delimited field. */
  bytes(): Uint8Array {
    if (this.#wire !== 2) throw new Error(`field ${this.#field} has wire type ${this.#wire}`)
    return this.#bytes.subarray(this.#value, this.#end)
  }

  text(): string {
    return utf8.decode(this.bytes())
  }

  /** A reader of the message in this field. */
  message(): ProtobufReader {
    return new ProtobufReader(this.bytes())
  }

  /** A reader that stays at this field. */
  here(): ProtobufReader {
    const copy = new ProtobufReader(this.#bytes)
    copy.#value = this.#value
    copy.#end = this.#end
    copy.#wire = this.#wire
    copy.#field = this.#field
    return copy
  }

  /** A signed integer. Beyond 2^53 it loses digits, as JSON numbers do. */
  integer(): number {
    if (this.#wire !== 0) throw new Error(`field ${this.#field} has wire type ${this.#wire}`)
    this.#at = this.#value
    return Number(BigInt.asIntN(64, this.#varint()))
  }

  /** One integer, or all of a packed list. */
  integers(): readonly number[] {
    if (this.#wire !== 2) return [this.integer()]
    const all: number[] = []
    this.#at = this.#value
    while (this.#at < this.#end) all.push(Number(BigInt.asIntN(64, this.#varint())))
    return all
  }

  double(): number {
    if (this.#wire !== 1) throw new Error(`field ${this.#field} has wire type ${this.#wire}`)
    return new DataView(this.#bytes.buffer, this.#bytes.byteOffset + this.#value, 8).getFloat64(
      0,
      true,
    )
  }
}
