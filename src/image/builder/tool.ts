/** Runs the programs that builds lean on (pip, go, npm, buildah), and says what to do where one is missing or fails. */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { BuildError } from '../build-error.ts'

export interface ToolOptions {
  readonly cwd?: string
  /** Added to the environment of whoever builds. */
  readonly env?: Readonly<Record<string, string>>
  /** Each line of its stdout and stderr as it comes. */
  readonly onLine?: (line: string) => void
  /** Written to its stdin. */
  readonly input?: string
  /** It is ended after so long. Default 30 minutes. */
  readonly limitMs?: number
}

export interface ToolResult {
  /** Of both outputs, the last part when there is much. */
  readonly output: string
  readonly stdout: string
  readonly exitCode: number | null
}

/** There is no such program in the PATH. */
export class NoTool extends BuildError {}

const maxOutput = 256 << 10

/** Runs a program to its end, whatever its exit code. Throws NoTool when there is none of that name. */
export async function runTool(
  program: string,
  args: readonly string[],
  { cwd, env = {}, onLine, input, limitMs = 30 * 60_000 }: ToolOptions = {},
): Promise<ToolResult> {
  // `env` adds to the environment, which stays the concern of whoever called us.
  const pairs = Object.entries(env).map(([name, value]) => `${name}=${value}`)
  const child = spawn('/usr/bin/env', [...pairs, program, ...args], {
    ...(cwd !== undefined && { cwd }),
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    timeout: limitMs,
    killSignal: 'SIGKILL',
  })
  let output = ''
  let stdout = ''
  const read = (stream: NodeJS.ReadableStream, isStdout: boolean) =>
    createInterface({ input: stream }).on('line', (line) => {
      output = `${output}${line}\n`.slice(-maxOutput)
      if (isStdout) stdout = `${stdout}${line}\n`.slice(-maxOutput)
      onLine?.(line)
    })
  if (child.stdout) read(child.stdout, true)
  if (child.stderr) read(child.stderr, false)
  child.stdin?.on('error', () => {}) // it may end without reading
  child.stdin?.end(input)
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    child.once('error', (error) => {
      // What never ran closes nothing by itself.
      for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy()
      reject(new NoTool(`${program} can't be started: ${error.message}`, { cause: error }))
    })
    child.once('close', resolve)
  })
  if (exitCode === 127 && /No such file or directory|not found/i.test(output))
    throw new NoTool(`${program} is not in the PATH`)
  return { output, stdout, exitCode }
}

/** The same, and it must succeed: throws BuildError with what it said, beginning with `what` ("pip could not …"). */
export async function runToolWell(
  program: string,
  args: readonly string[],
  what: string,
  options: ToolOptions = {},
): Promise<ToolResult> {
  const result = await runTool(program, args, options)
  if (result.exitCode === 0) return result
  const said = options.onLine ? '' : lastLines(result.output)
  const how = result.exitCode === null ? 'was ended' : `ended with exit code ${result.exitCode}`
  throw new BuildError(`${what}: ${program} ${how}${said && `:\n${said}`}`)
}

/** The last lines of an output, as they stand in an error. */
export const lastLines = (output: string, count = 40): string =>
  output.trimEnd().split('\n').slice(-count).join('\n')
