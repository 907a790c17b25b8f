import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { strippedEntry } from './stripped-entry.ts'

test('a copy that was cut short is made anew; a whole one is kept', async () => {
  const cache = await mkdtemp(join(tmpdir(), 'ebb-stripped-'))
  try {
    const entry = new URL('../launcher/main.ts', import.meta.url)
    const path = strippedEntry(entry, cache, cache)
    const imported = join(path, '..', 'proc.mjs')
    const whole = await readFile(imported, 'utf8')
    for (const damaged of ['', whole.slice(0, 100), '\0'.repeat(whole.length)]) {
      await writeFile(imported, damaged)
      assert.equal(strippedEntry(entry, cache, cache), path)
      assert.equal(await readFile(imported, 'utf8'), whole)
    }
    // As another checkout with the same packages leaves it: whole, newer, and of another text.
    await writeFile(imported, whole.replace(/(?<=\/\/ complete )\S+/, 'of-another-text'))
    strippedEntry(entry, cache, cache)
    assert.equal(await readFile(imported, 'utf8'), whole)
    const marked = `// kept\n${whole}`
    await writeFile(imported, marked)
    strippedEntry(entry, cache, cache)
    assert.equal(await readFile(imported, 'utf8'), marked)
  } finally {
    await rm(cache, { recursive: true })
  }
})

test('where the shared folder can not be made the copies lie with the data', async () => {
  const own = await mkdtemp(join(tmpdir(), 'ebb-stripped-'))
  try {
    const file = join(own, 'file')
    await writeFile(file, '')
    const entry = new URL('../launcher/main.ts', import.meta.url)
    assert.match(
      strippedEntry(entry, own, join(file, 'cache')),
      new RegExp(`^${own}/.*main\\.mjs$`),
    )
  } finally {
    await rm(own, { recursive: true })
  }
})
