/** `npm test`: types, lint, then every test: units share one process, what starts processes of its own runs alone. */
import { step } from './step.ts'

step('types', 'tsc', '--noEmit')
step('lint', 'oxlint', '--type-aware', '--quiet')
step(
  'unit, property and contract tests',
  'node',
  '--test',
  '--test-isolation=none',
  '--test-reporter=dot',
  'src/**/*.test.ts',
)
step('architecture', 'node', '--test', '--test-isolation=none', 'test/*.test.ts')
step(
  'simulation',
  'node',
  '--test',
  '--test-isolation=none',
  '--test-reporter=spec',
  'test/simulation/*.test.ts',
)
step(
  'end to end',
  'node',
  '--test',
  '--test-concurrency=1',
  '--test-reporter=spec',
  'test/e2e/*.test.ts',
)
