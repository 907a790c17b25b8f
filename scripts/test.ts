/**
 * `npm test`: types and lint, then every test, two jobs at a time. Unit tests share one process; each end-to-end file
 * has a process and platforms of its own.
 */
import { globSync } from 'node:fs'
import { basename } from 'node:path'
import { inLanes, type Job } from './lanes.ts'
import { step } from './step.ts'

const tests = (reporter: string, ...more: readonly string[]): Job['command'] => [
  'node',
  '--test',
  `--test-reporter=${reporter}`,
  ...more,
]
const shared = '--test-isolation=none'

step('types', 'tsc', '--noEmit')
step('lint', 'oxlint', '--type-aware', '--quiet')

const endToEnd = globSync('test/e2e/*.test.ts').map((file) => ({
  title: `end to end: ${basename(file, '.test.ts')}`,
  command: tests('spec', '--test-concurrency=1', file),
}))
const failed = await inLanes([
  { title: 'unit, property and contract tests', command: tests('dot', shared, 'src/**/*.test.ts') },
  ...endToEnd.toSorted((a, b) => a.title.localeCompare(b.title)),
  { title: 'simulation', command: tests('spec', shared, 'test/simulation/*.test.ts') },
  { title: 'architecture, benches, fuzzing', command: tests('spec', shared, 'test/*.test.ts') },
])
if (failed.length > 0) {
  process.stderr.write(`\n✖ failed: ${failed.join(', ')}\n`)
  process.exit(1)
}
