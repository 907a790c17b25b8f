/**
 * Terminals for programs, without a native addon: `script` of util-linux, which every Linux has, runs a program on a
 * terminal of its own and passes bytes between that and its own input and output; `stty` tells the terminal its size,
 * by which the kernel tells the programs on it.
 */
import { execFile } from 'node:child_process'
import { readFileSync, readlinkSync } from 'node:fs'
import type { Clock } from '../../../lib/clock.ts'
import { findOnHost } from './executable.ts'
import type { TerminalSize } from '../runtime.ts'

/** What programs take a terminal to be that says nothing. */
const usualSize: TerminalSize = { width: 80, height: 24 }
/** A terminal that is not there by then never will be. */
const findLimitMs = 3_000
const findStepMs = 10

/** There is no `script` here; the message says what to do. */
export class NoTerminal extends Error {
  override readonly name = 'NoTerminal'
}

export interface Program {
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

/** The program that runs another one on a terminal. It ends with the other's code; 128 + n after signal n. Throws NoTerminal. */
export function onTerminal({ argv, env }: Program, size: TerminalSize = usualSize): Program {
  const script = findOnHost('script')
  const stty = findOnHost('stty')
  if (script === undefined || stty === undefined)
    throw new NoTerminal(
      `a terminal needs the program "${script === undefined ? 'script' : 'stty'}" on this machine; install ${script === undefined ? 'util-linux (Debian: bsdutils)' : 'coreutils'}, or go without a terminal`,
    )
  const shell = env['SHELL']
  const lines = [
    `${quoted(stty)} cols ${size.width} rows ${size.height}`,
    // What `script` needs or adds is none of the program's business.
    'unset SCRIPT',
    shell === undefined ? 'unset SHELL' : `SHELL=${quoted(shell)}`,
    `exec ${argv.map(quoted).join(' ')}`,
  ]
  return {
    argv: [script, '-qefc', lines.join('\n'), '/dev/null'],
    env: { TERM: 'xterm', ...env, SHELL: '/bin/sh' },
  }
}

/** A word of a shell's command line that means itself. */
const quoted = (word: string): string => `'${word.replaceAll("'", String.raw`'\''`)}'`

/** What runs on the terminal that the process `pid` (of `onTerminal`) made; undefined before it is there. */
export function programOnTerminal(
  pid: number,
): { readonly pid: number; readonly terminal: string } | undefined {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1')
    for (const child of children.split(' ').map(Number)) {
      if (!child) continue
      const terminal = readlinkSync(`/proc/${child}/fd/0`)
      if (/^\/dev\/pts\/\d+$/.test(terminal)) return { pid: child, terminal }
    }
  } catch {
    // gone, or not begun
  }
  return undefined
}

/** Sizes for the terminal of the process `pid`: the latest counts, also of those told before it is there. */
export function terminalSizer(
  pid: () => number | undefined,
  clock: Clock,
): (size: TerminalSize) => void {
  let wanted: TerminalSize | undefined
  let busy = false
  const apply = (deadline: number): void => {
    const size = wanted
    const own = pid()
    const terminal = own === undefined ? undefined : programOnTerminal(own)?.terminal
    if (!size || (terminal === undefined && clock.monotonic() >= deadline)) {
      busy = false
      return
    }
    if (terminal === undefined) return void clock.after(findStepMs, () => apply(deadline))
    wanted = undefined
    const args = ['-F', terminal, 'cols', String(size.width), 'rows', String(size.height)]
    execFile(findOnHost('stty') ?? 'stty', args, { env: {} }, () => apply(deadline))
  }
  return (size) => {
    wanted = size
    if (busy) return
    busy = true
    apply(clock.monotonic() + findLimitMs)
  }
}
