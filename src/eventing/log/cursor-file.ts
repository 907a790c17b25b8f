/**
 * The place of one subscription on disk. Two files take turns, each with a generation and a CRC, so that a write that a
 * crash cut short leaves the one before: a place that is a little old costs events seen twice, never one lost.
 */
import { readFile, rm } from 'node:fs/promises'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { Cursor } from './cursor.ts'

const sides = ['a', 'b'] as const

/** Names of subscriptions become names of files: anything may stand in them. */
export const cursorName = (name: string): string => encodeURIComponent(name).replaceAll('.', '%2E')

export const subscriptionOf = (file: string): string | undefined =>
  /\.[ab]$/.test(file) ? decodeURIComponent(file.slice(0, -2)) : undefined

export class CursorFile {
  readonly #path: string
  #generation = 0

  constructor(directory: string, name: string) {
    this.#path = join(directory, cursorName(name))
  }

  /** The newest place that was written whole; undefined when there is none. */
  async read(): Promise<Cursor | undefined> {
    let newest: { readonly generation: number; readonly cursor: Cursor } | undefined
    for (const side of sides) {
      const found = parse(await readFile(`${this.#path}.${side}`, 'utf8').catch(() => ''))
      if (found && found.generation > (newest?.generation ?? 0)) newest = found
    }
    this.#generation = newest?.generation ?? 0
    return newest?.cursor
  }

  /** Survives a crash of this process when it resolves; with `sync`, one of the machine. */
  async write(cursor: Cursor, options: { readonly sync: boolean }): Promise<void> {
    const generation = ++this.#generation
    const text = cursor.text()
    const line = `${generation} ${crc32(`${generation} ${text}`)} ${text}\n`
    await using file = await open(`${this.#path}.${sides[generation % 2]}`, 'w', 0o600)
    await file.writeFile(line)
    if (options.sync) await file.datasync()
  }

  async remove(): Promise<void> {
    for (const side of sides) await rm(`${this.#path}.${side}`, { force: true })
  }
}

function parse(line: string): { generation: number; cursor: Cursor } | undefined {
  const match = /^(\d+) (\d+) (\{.*\})\n$/.exec(line)
  if (!match) return undefined
  const [, generation = '', crc, text = ''] = match
  if (crc32(`${generation} ${text}`) !== Number(crc)) return undefined
  return { generation: Number(generation), cursor: Cursor.from(text) }
}
