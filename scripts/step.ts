/** Runs one command of a script, showing what it prints; ends the script at the first failure. */
import { spawnSync } from 'node:child_process'

const root = new URL('..', import.meta.url)

export function step(title: string, command: string, ...args: string[]): void {
  const start = performance.now()
  process.stdout.write(`\n▸ ${title}\n`)
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' })
  if (status !== 0) {
    process.stderr.write(`\n✖ ${title} failed: ${error?.message ?? `exit ${status}`}\n`)
    process.exit(1)
  }
  process.stdout.write(`  ${((performance.now() - start) / 1000).toFixed(1)} s\n`)
}
