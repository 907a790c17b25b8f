/** The `ebb` command: picks the command, parses its arguments, turns errors into one line and an exit code. */
import {
  dataDirFlag,
  helpText,
  parseArguments,
  usageText,
  UsageError,
  verbIn,
  type Command,
  type Output,
} from './command.ts'

/** Loaded on use, so that `ebb down` does not pay for what `ebb up` imports. */
const commands: Readonly<Record<string, () => Promise<Command>>> = {
  up: async () => (await import('./up.ts')).up,
  down: async () => (await import('./down.ts')).down,
  build: async () => (await import('./build.ts')).build,
  image: async () => (await import('./image.ts')).image,
  deploy: async () => (await import('./deploy.ts')).deploy,
  event: async () => (await import('./event/event.ts')).event,
  controllers: async () => (await import('./controllers.ts')).controllers,
  kubeconfig: async () => (await import('./kubeconfig.ts')).kubeconfig,
  version: async () => (await import('./version.ts')).version,
}

const consoleOutput: Output = {
  print: (line) => void process.stdout.write(`${line}\n`),
  note: (line) => void process.stderr.write(`${line}\n`),
}

/** Runs one command line (without `node` and the script's name) and ends the process with its exit code. */
export async function main(argv: readonly string[]): Promise<void> {
  // Who reads what is printed may have enough before the end: `ebb event list | head`.
  for (const stream of [process.stdout, process.stderr])
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error
      process.exit(0)
    })
  process.exitCode = await run(argv, consoleOutput)
}

const helps: ReadonlySet<string> = new Set(['help', '--help', '-h'])

/** Answers the exit code: 0 done, 1 failed, 2 asked wrongly. */
export async function run(argv: readonly string[], out: Output): Promise<number> {
  const [name = 'help', ...rest] = argv
  if (helps.has(name)) {
    // `ebb help event send` as `ebb event send --help`.
    if (rest[0] !== undefined && !helps.has(rest[0])) return await run([...rest, '--help'], out)
    out.print(await overview())
    return 0
  }
  const asked = name === '--version' || name === '-v' ? 'version' : name
  const load = Object.hasOwn(commands, asked) ? commands[asked] : undefined
  if (!load) {
    out.note(`ebb: unknown command "${name}"; there are: ${Object.keys(commands).join(', ')}`)
    return 2
  }
  const loaded = await load()
  const command = { ...loaded, flags: { 'data-dir': dataDirFlag, ...loaded.flags } }
  const isHelp = command.verbs !== undefined && rest[0] === 'help'
  const verb = verbIn(command, isHelp ? rest.slice(1) : rest)
  if (isHelp || rest.includes('--help') || rest.includes('-h')) {
    out.print(helpText(command, verb))
    return 0
  }
  try {
    return await command.run(parseArguments(command, rest), out)
  } catch (error) {
    if (error instanceof UsageError) {
      out.note(`ebb ${name}: ${error.message}`)
      const asked = verb === undefined ? command.name : `${command.name} ${verb}`
      out.note(`Usage: ebb ${usageText(command, verb)}   (ebb ${asked} --help)`)
      return 2
    }
    out.note(`ebb ${name}: ${messageOf(error)}`)
    return 1
  }
}

/** What the system says of a full disk, or of a port where nobody listens, names no way out. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (error.message.startsWith("can't reach the API server"))
    return `${error.message}: is \`ebb up\` running?`
  const full = 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT')
  return full ? `the disk is full; free some space and try again (${error.message})` : error.message
}

async function overview(): Promise<string> {
  const all = await Promise.all(Object.values(commands).map((load) => load()))
  const width = Math.max(...all.map((command) => command.name.length))
  return [
    'Ebb: serverless with the Knative API on one machine.',
    '',
    'Usage: ebb COMMAND [FLAGS]',
    '',
    ...all.map((command) => `  ${command.name.padEnd(width)}  ${command.summary}`),
    '',
    'Every command takes --data-dir DIR and --help.',
  ].join('\n')
}
