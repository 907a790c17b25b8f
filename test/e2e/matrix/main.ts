/**
 * `node test/e2e/matrix/main.ts [--slow] [VERSION…]`: runs the matrix, prints what is not as expected, and with all
 * versions writes the table into docs/compatibility.md. `--slow` prints the rows that take longest.
 */
import { startEbb } from '../platform.ts'
import { groups } from './groups.ts'
import { runMatrix, versions } from './runner.ts'
import { documentPath, writeTable } from './table.ts'

const args = process.argv.slice(2)
const only = args.filter((arg) => /^1\.\d+$/.test(arg))
const titles = args.filter((arg) => arg.startsWith('@')).map((arg) => arg.slice(1))
const wanted = groups.filter(
  ({ title }) => titles.length === 0 || titles.some((t) => title.startsWith(t)),
)
await using ebb = await startEbb()
const start = performance.now()
const { failures, spent } = await runMatrix(ebb, wanted, only.length > 0 ? { only } : {})
for (const { version, group, line, problem } of failures)
  process.stdout.write(`✖ ${version} (${group}) kubectl ${line}\n  ${problem}\n`)
if (args.includes('--slow'))
  for (const { line, version, ms } of spent.toSorted((a, b) => b.ms - a.ms).slice(0, 40))
    process.stdout.write(`${ms.toFixed(0)} ms ${version} ${line}\n`)
process.stdout.write(
  `${failures.length} of ${spent.length} not as expected, ${((performance.now() - start) / 1000).toFixed(0)} s\n`,
)
if (failures.length > 0) process.exitCode = 1
else if (only.length === 0 && titles.length === 0) {
  await writeTable(groups, versions)
  process.stdout.write(`written: ${documentPath}\n`)
}
