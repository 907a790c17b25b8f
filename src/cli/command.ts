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

/** One of several things that a command does, its first argument. */
export interface Verb {
  readonly usage: string
  readonly summary: string
  readonly examples: readonly string[]
  readonly flags: Readonly<Record<string, Flag>>
}

export interface Command {
  readonly name: string
  /** `DIR [--name NAME]`: what stands behind the name in the usage line. */
  readonly usage: string
  readonly summary: string
  readonly details?: string
  /** With verbs: all flags of all of them. */
  readonly flags: Readonly<Record<string, Flag>>
  readonly verbs?: Readonly<Record<string, Verb>>
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
  let parsed: ReturnType<typeof parseArgs>
  try {
    parsed = parseArgs({
      args: withEmptyValues(command, argv),
      options: optionsOf(command),
      allowPositionals: true,
      strict: true,
    })
  } catch (error) {
    throw new UsageError(complaintOf(error as Error, command))
  }
  const { positionals, values } = parsed
  const [min, max] = command.positionals
  if (positionals.length < min || positionals.length > max)
    throw new UsageError(
      `expected ${countText(min, max)}, found ${positionals.length === 0 ? 'none' : positionals.map((each) => `"${each}"`).join(' ')}`,
    )
  const verb = command.verbs?.[positionals[0] ?? '']
  for (const name of Object.keys(values))
    if (verb && name !== 'data-dir' && !verb.flags[name])
      throw new UsageError(`--${name} is not for ${positionals[0]}`)
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

/** What the parser says, in our words: it names no value, and explains itself over several lines. */
function complaintOf({ message }: Error, { flags }: Command): string {
  const [, name = ''] =
    /^Option '.*?--([\w-]+).*' argument (?:missing|is ambiguous)/.exec(message) ?? []
  const flag = flags[name]
  if (flag)
    return `--${name}: expected ${flag.value ?? 'VALUE'} behind it; one that begins with a dash is written --${name}=-…`
  return message.split('. ')[0] ?? 'bad arguments'
}

function countText(min: number, max: number): string {
  if (max === 0) return 'no arguments'
  return `${min === max ? min : `${min} to ${max}`} argument${max === 1 ? '' : 's'}`
}

const optionsOf = ({ flags }: Command) =>
  Object.fromEntries(
    Object.entries(flags).map(([name, { type, multiple, short }]) => [
      name,
      { type, ...(multiple && { multiple }), ...(short !== undefined && { short }) },
    ]),
  )

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

/** The verb that a command line names, if the command has any; a mistake elsewhere in the line does not hide it. */
export function verbIn(command: Command, argv: readonly string[]): string | undefined {
  if (!command.verbs) return undefined
  const { positionals } = parseArgs({
    args: withEmptyValues(command, argv),
    options: optionsOf(command),
    allowPositionals: true,
    strict: false,
  })
  const [first = ''] = positionals
  return Object.hasOwn(command.verbs, first) ? first : undefined
}

/** `COMMAND VERB …`: what stands behind `ebb`. */
export function usageText(command: Command, verb?: string): string {
  const { usage } = (verb !== undefined && command.verbs?.[verb]) || command
  const name = verb === undefined ? command.name : `${command.name} ${verb}`
  return usage ? `${name} ${usage}` : name
}

/** The text of `ebb COMMAND [VERB] --help`. */
export function helpText(command: Command, verb?: string): string {
  const found = verb === undefined ? undefined : command.verbs?.[verb]
  if (found)
    return [
      `ebb ${command.name} ${verb}: ${found.summary}`,
      '',
      `Usage: ebb ${usageText(command, verb)}`,
      '',
      'Examples:',
      ...found.examples.map((line) => `  ${line}`),
      '',
      'Flags:',
      ...flagLines({ 'data-dir': dataDirFlag, ...found.flags }),
    ].join('\n')
  const verbs = Object.entries(command.verbs ?? {})
  const width = Math.max(...verbs.map(([name]) => name.length))
  return [
    command.summary,
    '',
    `Usage: ebb ${usageText(command)}`,
    ...(command.details ? ['', command.details] : []),
    '',
    ...(verbs.length > 0
      ? [
          ...verbs.map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`),
          '',
          'Examples:',
          ...verbs.flatMap(([, { examples }]) => examples.slice(0, 1).map((line) => `  ${line}`)),
          '',
          `Flags and more examples: ebb ${command.name} VERB --help`,
        ]
      : ['Flags:', ...flagLines(command.flags)]),
  ].join('\n')
}

function flagLines(flags: Readonly<Record<string, Flag>>): readonly string[] {
  const rows = Object.entries(flags).map(
    ([name, flag]) =>
      [
        `${flag.short === undefined ? '' : `-${flag.short}, `}--${name}${valueText(flag)}`,
        flag.description + (flag.default === undefined ? '' : ` (default ${flag.default})`),
      ] as const,
  )
  const width = Math.max(...rows.map(([left]) => left.length))
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`)
}
