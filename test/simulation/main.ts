/**
 * `npm run sim -- SEED [STEPS]` plays one seed and tells everything that happens; `npm run sim` plays random seeds for a
 * minute, `npm run sim -- for SECONDS` for so long, and prints those that fail.
 */
import { simulate } from './run.ts'

const defaultSteps = 60

/* eslint-disable-next-line no-restricted-properties -- the only arguments there are */
const [first, second] = process.argv.slice(2)
const print = (line: string) => void process.stdout.write(`${line}\n`)

if (first !== undefined && first !== 'for') {
  const run = await simulate(Number(first), Number(second ?? defaultSteps), print)
  print(summary(Number(first), run))
  process.exitCode = run.complaints.length > 0 ? 1 : 0
} else {
  const endMs = performance.now() + Number(second ?? 60) * 1000
  let failed = 0
  let played = 0
  for (let seed = Math.floor(Math.random() * 1e9); performance.now() < endMs; seed++) {
    const run = await simulate(seed, defaultSteps)
    played++
    if (run.complaints.length === 0) continue
    failed++
    print(summary(seed, run))
  }
  print(`${played} seeds, ${failed} failed`)
  process.exitCode = failed > 0 ? 1 : 0
}
process.exit()

function summary(seed: number, run: Awaited<ReturnType<typeof simulate>>): string {
  const { complaints, writes, requests, minutes } = run
  const head = `SEED=${seed}: ${minutes} simulated minutes, ${writes} writes, ${requests} requests`
  return [head, ...complaints.map((complaint) => `  ${complaint}`)].join('\n')
}
