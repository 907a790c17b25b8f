/**
 * Headers of tar archives (POSIX.1-2001 pax on top of ustar), as bytes that depend on nothing but what is asked for.
 * Names that do not fit into ustar's fields get a pax record.
 */

export interface TarHeader {
  /** With a slash at its end for folders. */
  readonly name: string
  readonly type: 'file' | 'directory' | 'symlink'
  readonly mode: number
  readonly sizeBytes: number
  readonly linkName?: string
  readonly mtimeS: number
}

const block = 512
const types = { file: '0', symlink: '2', directory: '5' } as const
/** What eleven octal digits hold. */
const maxOctalSize = 8 ** 11

/** The header of an entry, with its pax records before it where it needs some. */
export function tarHeader(header: TarHeader): Buffer {
  const { name, linkName = '', sizeBytes } = header
  const records = [
    ...(fits(name) ? [] : [paxRecord('path', name)]),
    ...(fits(linkName) ? [] : [paxRecord('linkpath', linkName)]),
    ...(sizeBytes < maxOctalSize ? [] : [paxRecord('size', String(sizeBytes))]),
  ].join('')
  const own = ustar(header, types[header.type])
  if (records === '') return own
  const bytes = Buffer.from(records)
  const before = { ...header, name: 'pax', linkName: '', mode: 0o644, sizeBytes: bytes.length }
  return Buffer.concat([ustar(before, 'x'), bytes, tarPadding(bytes.length), own])
}

/** What fills up the last block of a file. */
export const tarPadding = (sizeBytes: number): Buffer =>
  Buffer.alloc((block - (sizeBytes % block)) % block)

/** Ends an archive. */
export const tarEnd = (): Buffer => Buffer.alloc(2 * block)

/** ASCII, as pax readers and others agree on nothing else. */
const fits = (name: string): boolean => name.length <= 100 && /^[\x20-\x7e]*$/.test(name)

function ustar({ name, linkName = '', mode, sizeBytes, mtimeS }: TarHeader, type: string): Buffer {
  const header = Buffer.alloc(block)
  const octal = (value: number, offset: number, digits: number) =>
    header.write(value.toString(8).padStart(digits, '0'), offset, 'latin1')
  header.write(name, 0, 100, 'utf8')
  octal(mode, 100, 7)
  octal(0, 108, 7)
  octal(0, 116, 7)
  octal(sizeBytes < maxOctalSize ? sizeBytes : 0, 124, 11)
  octal(mtimeS, 136, 11)
  header.write('        ', 148, 'latin1')
  header.write(type, 156, 'latin1')
  header.write(linkName, 157, 100, 'utf8')
  header.write('ustar\u000000', 257, 'latin1')
  let sum = 0
  for (const byte of header) sum += byte
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return header
}

/** `LENGTH key=value\n`, whose length counts its own digits. */
function paxRecord(key: string, value: string): string {
  const rest = Buffer.byteLength(` ${key}=${value}\n`)
  let length = rest + String(rest).length
  if (String(length).length > String(rest).length) length = rest + String(length).length
  return `${length} ${key}=${value}\n`
}
