/**
 * The streams that ended last and how: a frame for a stream that we reset may still be on its way, one for a stream that
 * its sender ended is an error, and one for a stream that was skipped is another (RFC 9113 5.1).
 */
const remembered = 256

export const Ended = { unknown: 0, byUs: 1, byPeer: 2 } as const
export type Ended = (typeof Ended)[keyof typeof Ended]

export class EndedStreams {
  readonly #ids = new Int32Array(remembered)
  readonly #how = new Uint8Array(remembered)
  #next = 0

  add(id: number, how: Ended): void {
    this.#ids[this.#next] = id
    this.#how[this.#next] = how
    this.#next = (this.#next + 1) % remembered
  }

  how(id: number): Ended {
    const at = this.#ids.indexOf(id)
    return at < 0 ? Ended.unknown : this.#how[at] === Ended.byUs ? Ended.byUs : Ended.byPeer
  }
}
