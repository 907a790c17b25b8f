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

/** A job that failed, with what a reader wants to see of it: from the list of failed tests on, or the last lines. */
export interface Failed {
  readonly title: string
  readonly says: string
}

/** Runs all jobs in the order given, also after a failure; answers those that failed. */
export async function inLanes(
  jobs: readonly Job[],
  lanes = Math.min(2, availableParallelism()),
): Promise<readonly Failed[]> {
  const failed: Failed[] = []
  const rest = jobs.values()
  const lane = async () => {
    for (const job of rest) {
      const says = await fails(job)
      if (says !== undefined) failed.push({ title: job.title, says })
    }
  }
  await Promise.all(Array.from({ length: lanes }, lane))
  return failed
}

/** Runs a job; if it failed, answers what it said of that. */
function fails({ title, command: [program, ...args] }: Job): Promise<string | undefined> {
  const start = performance.now()
  const printed: Buffer[] = []
  return new Promise((resolve) => {
    const end = (failure: string | undefined) => {
      const seconds = ((performance.now() - start) / 1000).toFixed(1)
      process.stdout.write(`\n▸ ${title}\n`)
      const text = Buffer.concat(printed).toString()
      process.stdout.write(text)
      process.stdout.write(`  ${seconds} s\n`)
      if (failure !== undefined) process.stderr.write(`\n✖ ${title} failed: ${failure}\n`)
      resolve(failure === undefined ? undefined : reasons(text))
    }
    const child = spawn(program, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
    child.stdout.on('data', (chunk: Buffer) => printed.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => printed.push(chunk))
    child.once('error', (error) => end(error.message))
    child.once('close', (code, signal) => end(code === 0 ? undefined : (signal ?? `exit ${code}`)))
  })
}

/** Node's reporters name the failed tests once more at their end, under one of these headings. */
function reasons(text: string): string {
  const heading = Math.max(text.lastIndexOf('failing tests:'), text.lastIndexOf('Failed tests:'))
  return (heading >= 0 ? text.slice(heading) : text.slice(-4000)).slice(0, 20_000).trimEnd()
}
