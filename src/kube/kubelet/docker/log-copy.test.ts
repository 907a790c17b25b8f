import assert from 'node:assert/strict'
import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../../../lib/clock.ts'
import { copyOutput, createLog, missedOutput } from './log-copy.ts'

async function inFolder(run: (path: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'ebb-log-'))
  try {
    await run(join(folder, 'c', '0.log'))
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** An engine that has kept these pieces; notes from when they were asked for. */
const engineWith = (...pieces: readonly string[]) => {
  const asked: string[] = []
  return {
    asked,
    async *logs(_id: string, since: string) {
      asked.push(since)
      for (const piece of pieces) yield Buffer.from(piece)
    },
  }
}
const never = new AbortController().signal

test('a successor goes on behind the last byte of the file, wherever that is', async () => {
  const output = 'one\ntwo\nthree\n'
  for (let size = 0; size <= output.length; size++)
    await inFolder(async (path) => {
      await createLog(path)
      await appendFile(path, output.slice(0, size))
      const engine = engineWith('one\nt', 'wo\n', 'three\n')
      await copyOutput(missedOutput(engine, 'id', path, never), path)
      assert.equal(await readFile(path, 'utf8'), output)
      assert.deepEqual(engine.asked, [''])
    })
})

test('of a log whose beginning the engine may have dropped, what is newer than the file', async () => {
  await inFolder(async (path) => {
    await createLog(path)
    await appendFile(path, Buffer.alloc(1 << 20, 'x'))
    const engine = engineWith('new\n')
    await copyOutput(missedOutput(engine, 'id', path, never), path)
    const log = await readFile(path, 'utf8')
    assert.equal(log.length, (1 << 20) + 4)
    const sinceMs = Number(engine.asked[0]) * 1000
    assert.ok(Math.abs(sinceMs - systemClock.now()) < 60_000, engine.asked[0])
  })
})
