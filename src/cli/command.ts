/** What a command of the CLI is: one file each, noun then verb, as in kn. */
import { parseArgs } from 'node:util'

export interface Flag {
  readonly type: 'string' | 'boolean'
  /** How the value is shown in the help, `DIR`. */
  readonly value?: string
  readonly default?: string
  readonly description: string
  /** May be given several times. */
  readonly multiple?: boolean
  /** One letter: `-t`. */
  readonly short?: string
  /** The value may be left out and is '' then: says whether the word behind the flag is one. */
  readonly takesNext?: (word: string) => boolean
}

export interface Output {
  /** A line for the user, on stdout. */
  print(line: string): void
  /** A line beside the result: progress, hints; on stderr. */
  note(line: string): void
}

export interface Arguments {
  readonly positionals: readonly string[]
  /** The flag's value, or its default. */
  string(name: string): string | undefined
  boolean(name: string): boolean
  strings(name: string): readonly string[]
}

export interface Command {
  readonly name: string
  /** `DIR [--name NAME]`: what stands behind the name in the usage line. */
  readonly usage: string
  readonly summary: string
  readonly details?: string
  readonly flags: Readonly<Record<string, Flag>>
  /** Fewest and most positional arguments. */
  readonly positionals: readonly [min: number, max: number]
  /** Answers the exit code. A thrown UsageError prints its message and the usage line. */
  run(args: Arguments, out: Output): Promise<number>
}

/** The user asked for something that can't be: message says what was found and what was expected. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** The flag that every command takes: which platform is meant. */
export const dataDirFlag: Flag = {
  type: 'string',
  value: 'DIR',
  description: 'directory of the platform (default: EBB_DATA_DIR, else ~/.ebb)',
}

/** Parses what follows the command's name. Throws UsageError. */
export function parseArguments(command: Command, argv: readonly string[]): Arguments {
  const options = Object.fromEntries(
    Object.entries(command.flags).map(([name, { type, multiple, short }]) => [
      name,
      { type, ...(multiple && { multiple }), ...(short !== undefined && { short }) },
    ]),
  )
  let parsed: ReturnType<typeof parseArgs>
  try {
    parsed = parseArgs({
      args: withEmptyValues(command, argv),
      options,
      allowPositionals: true,
      strict: true,
    })
  } catch (error) {
    throw new UsageError((error as Error).message.split('. ')[0] ?? 'bad arguments')
  }
  const { positionals, values } = parsed
  const [min, max] = command.positionals
  if (positionals.length < min || positionals.length > max)
    throw new UsageError(
      `expected ${min === max ? min : `${min} to ${max}`} argument(s), found ${positionals.length}`,
    )
  return {
    positionals,
    string(name) {
      const value = values[name]
      return typeof value === 'string' ? value : command.flags[name]?.default
    },
    boolean: (name) => values[name] === true,
    strings(name) {
      const value = values[name]
      return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []
    },
  }
}

function valueText({ type, value = 'VALUE', takesNext }: Flag): string {
  if (type === 'boolean') return ''
  return takesNext ? ` [${value}]` : ` ${value}`
}

/** `--push` without a value as `--push=`, which is how the parser takes one that is empty. */
function withEmptyValues({ flags }: Command, argv: readonly string[]): string[] {
  return argv.map((word, i) => {
    const takesNext = word.startsWith('--') ? flags[word.slice(2)]?.takesNext : undefined
    const next = argv[i + 1]
    return takesNext && (next === undefined || !takesNext(next)) ? `${word}=` : word
  })
}

/** The text of `ebb COMMAND --help`. */
export function helpText(command: Command): string {
  const rows = Object.entries(command.flags).map(
    ([name, flag]) =>
      [
        `${flag.short === undefined ? '' : `-${flag.short}, `}--${name}${valueText(flag)}`,
        flag.description + (flag.default === undefined ? '' : ` (default ${flag.default})`),
      ] as const,
  )
  const width = Math.max(...rows.map(([left]) => left.length))
  return [
    command.summary,
    '',
    `Usage: ebb ${command.name}${command.usage ? ` ${command.usage}` : ''}`,
    ...(command.details ? ['', command.details] : []),
    '',
    'Flags:',
    ...rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`),
  ].join('\n')
}
