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

const endToEnd = globSync('test/e2e/*.test.ts')
  .toSorted()
  .map((file) => ({
    title: basename(file, '.test.ts'),
    command: tests('spec', '--test-concurrency=1', file),
  }))
/** Those that take longest by far: first, so that no lane works alone at the end. Beside each other what works and what waits. */
const first = [
  'unit, property and contract tests',
  'docker',
  'matrix',
  'kubectl',
  'architecture, benches, fuzzing',
  'book-serving',
  'walkthroughs',
]
const rank = ({ title }: Job) => (first.includes(title) ? first.indexOf(title) : first.length)
const failed = await inLanes(
  [
    {
      title: 'unit, property and contract tests',
      command: tests('dot', shared, 'src/**/*.test.ts'),
    },
    { title: 'architecture, benches, fuzzing', command: tests('spec', shared, 'test/*.test.ts') },
    ...endToEnd,
    { title: 'simulation', command: tests('spec', shared, 'test/simulation/*.test.ts') },
  ].toSorted((a, b) => rank(a) - rank(b)),
)
if (failed.length > 0) {
  // Once more at the end: what ran beside it has scrolled the reason far away.
  for (const { title, says } of failed) process.stderr.write(`\n✖ ${title}\n${says}\n`)
  process.stderr.write(`\n✖ failed: ${failed.map(({ title }) => title).join(', ')}\n`)
  process.exit(1)
}
