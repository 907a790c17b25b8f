/** Every command of the matrix with every version of kubectl; and the table in docs/compatibility.md says what it says. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { groups } from './matrix/groups.ts'
import { runMatrix, versions } from './matrix/runner.ts'
import { documentPath, render, withTable } from './matrix/table.ts'
import { startEbb, withoutKubectl } from './platform.ts'

test('docs/compatibility.md has the table of the matrix', async () => {
  const document = await readFile(documentPath, 'utf8')
  assert.equal(
    document,
    withTable(document, render(groups, versions)),
    'out of date: run node test/e2e/matrix/main.ts, which writes it',
  )
})

test(
  'every command does with every version what the matrix says',
  { skip: withoutKubectl },
  async (t) => {
    await using ebb = await startEbb()
    const { failures, spent } = await runMatrix(ebb, groups)
    t.diagnostic(`${spent.length} commands`)
    const told = failures.map(
      ({ version, group, line, problem }) => `${version} (${group}) kubectl ${line}\n  ${problem}`,
    )
    assert.equal(told.join('\n'), '')
    assert.ok(spent.length > 0, `none of ${versions.join(', ')} is among the kubectls found`)
  },
)
