/**
 * Jobs of a script, several at a time: many tests wait more than they work, so that two lanes on two cores take little
 * more than half the time. What a job prints appears when it has ended, so that it stays in one piece.
 */
import { spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'

const root = new URL('..', import.meta.url)

export interface Job {
  readonly title: string
  readonly command: readonly [string, ...string[]]
}

/** Runs all jobs in the order given, also after a failure; answers the titles of those that failed. */
export async function inLanes(
  jobs: readonly Job[],
  lanes = Math.min(2, availableParallelism()),
): Promise<readonly string[]> {
  const failed: string[] = []
  const rest = jobs.values()
  const lane = async () => {
    for (const job of rest) if (!(await passes(job))) failed.push(job.title)
  }
  await Promise.all(Array.from({ length: lanes }, lane))
  return failed
}

function passes({ title, command: [program, ...args] }: Job): Promise<boolean> {
  const start = performance.now()
  const printed: Buffer[] = []
  return new Promise((resolve) => {
    const end = (failure: string | undefined) => {
      const seconds = ((performance.now() - start) / 1000).toFixed(1)
      process.stdout.write(`\n▸ ${title}\n`)
      process.stdout.write(Buffer.concat(printed))
      process.stdout.write(`  ${seconds} s\n`)
      if (failure !== undefined) process.stderr.write(`\n✖ ${title} failed: ${failure}\n`)
      resolve(failure === undefined)
    }
    const child = spawn(program, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
    child.stdout.on('data', (chunk: Buffer) => printed.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => printed.push(chunk))
    child.once('error', (error) => end(error.message))
    child.once('close', (code, signal) => end(code === 0 ? undefined : (signal ?? `exit ${code}`)))
  })
}
