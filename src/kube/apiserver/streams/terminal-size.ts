/** Sizes of a client's terminal, as JSON objects `{"Width":80,"Height":24}` one after the other. */
import type { TerminalSize } from './pod-streams.ts'
import { fieldsOf } from '../values.ts'

/** No size is longer than this. */
const maxBytes = 1024
/** The kernel keeps sizes in 16 bits. */
const maxCharacters = 65_535

/** Takes bytes cut anywhere and calls back with each size that can be one; what else comes is left out. */
export function sizeReader(listener: (size: TerminalSize) => void): (chunk: Uint8Array) => void {
  let rest = ''
  return (chunk) => {
    const parts = (rest + Buffer.from(chunk).toString('latin1')).split('}')
    rest = (parts.pop() ?? '').slice(-maxBytes)
    for (const part of parts) {
      const size = parsed(`${part}}`)
      if (size) listener(size)
    }
  }
}

function parsed(text: string): TerminalSize | undefined {
  if (text.length > maxBytes) return undefined
  try {
    const { Width: width, Height: height } = fieldsOf(JSON.parse(text))
    return isLength(width) && isLength(height) ? { width, height } : undefined
  } catch {
    return undefined
  }
}

const isLength = (value: unknown): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= maxCharacters
