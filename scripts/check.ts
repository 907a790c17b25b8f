/** `npm run check`: everything CI runs, and what keeps the house tidy. */
import { step } from './step.ts'

step('format', 'oxfmt', '--check')
step('dead files, exports, dependencies', 'knip')
step('tests', 'npm', 'test')
step('fuzzing of the data plane for a minute', 'node', 'test/fuzz/main.ts', '--seconds', '60')
step('fuzzing of the API', 'node', 'test/fuzz/main.ts', '--target', 'api', '--seconds', '30')
