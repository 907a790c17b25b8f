/**
 * What the decoder knows of a field's name: the number of a field that a proxy treats specially (`http1/fields.ts`), or one of
 * the further numbers here. It is found once for each name in a table, so that checking a head compares numbers.
 */
import { fieldOf, hashStep, tokenLower, valueByte } from '../../http1/fields.ts'

export const Kind = {
  /** A name or value that no field may have (RFC 9113 8.2.1). */
  malformed: -1,
  /** A pseudo-header that nobody knows, or `:protocol`, which is not on offer. */
  unknownPseudo: -2,
  method: -3,
  scheme: -4,
  authority: -5,
  path: -6,
  status: -7,
  cookie: -8,
} as const

const pseudo: Readonly<Record<string, number>> = {
  ':method': Kind.method,
  ':scheme': Kind.scheme,
  ':authority': Kind.authority,
  ':path': Kind.path,
  ':status': Kind.status,
}

const COLON = 58
const SP = 32
const TAB = 9

/** The kind of a field name as it came in: a `Field` or a `Kind`. */
export function kindOfName(name: string): number {
  if (name.charCodeAt(0) === COLON) return pseudo[name] ?? Kind.unknownPseudo
  if (name.length === 0) return Kind.malformed
  let hash = 0
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i)
    // Upper case is as wrong as what is no token.
    if (tokenLower[code] !== code) return Kind.malformed
    hash = hashStep(hash, code)
  }
  if (name === 'cookie') return Kind.cookie
  return fieldOf(hash, name)
}

/** May a field have this value: no control characters, no blanks at its ends? */
export function isValue(value: string): boolean {
  const last = value.length - 1
  if (last < 0) return true
  for (let i = 0; i <= last; i++) if (valueByte[value.charCodeAt(i)] !== 1) return false
  const first = value.charCodeAt(0)
  const end = value.charCodeAt(last)
  return first !== SP && first !== TAB && end !== SP && end !== TAB
}
