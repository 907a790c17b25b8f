/** An answer that says why something is refused: for people as its body, for programs in the header `Reason`. */
import type { BufferedAnswer } from './buffered-server.ts'

const maxHeaderLength = 400

/** The header is the reason made short and plain. */
export const refuse = (status: number, reason: string): BufferedAnswer => ({
  status,
  headers: [
    ['Reason', reason.replaceAll(/[^\x20-\x7E]+/g, ' ').slice(0, maxHeaderLength)],
    ['Content-Type', 'text/plain; charset=utf-8'],
  ],
  body: `${reason}\n`,
})
