/** The audit log's file begins anew when it is full. */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { SimClock } from '../../../../testing/sim-clock.ts'
import { RotatingFile } from './rotating-file.ts'

test('a full file is put aside, and only the newest of those stay', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ebb-audit-'))
  try {
    const clock = new SimClock()
    const path = join(folder, 'audit.log')
    await using file = new RotatingFile({ path, clock, maxBytes: 10, backups: 2 })
    for (let i = 0; i < 6; i++) {
      await file.write(Buffer.from(`line ${i}\n`))
      await clock.advance(1000)
    }
    const names = (await readdir(folder)).toSorted()
    assert.deepEqual(names, [
      'audit-2026-01-01T00-00-04.000.log',
      'audit-2026-01-01T00-00-05.000.log',
      'audit.log',
    ])
    assert.equal(await readFile(path, 'utf8'), 'line 5\n')
    await using again = new RotatingFile({ path, clock, maxBytes: 100, backups: 2 })
    await again.write(Buffer.from('more\n'))
    assert.equal(await readFile(path, 'utf8'), 'line 5\nmore\n')
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
