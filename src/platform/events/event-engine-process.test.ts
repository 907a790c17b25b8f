import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../../lib/clock.ts'

test('who has nothing else to do waits for the end of the engine', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ebb-engine-'))
  const socketPath = join(folder, 'socket')
  const engine = createServer((_request, response) => {
    response.end('{}')
    // Its last events are being settled.
    systemClock.after(200, () => engine.closeAllConnections())
  })
  try {
    await new Promise<void>((resolve) => engine.listen(socketPath, resolve))
    const module = new URL('event-engine-process.ts', import.meta.url).href
    const program = `import { stopEventEngine } from ${JSON.stringify(module)}
console.log(await stopEventEngine(${JSON.stringify(socketPath)}))`
    const printed = await new Promise<string>((resolve) =>
      execFile(
        process.execPath,
        ['--input-type=module', '-e', program],
        { timeout: 60_000 },
        (error, stdout) => resolve(`${stdout}${error?.code ?? ''}`),
      ),
    )
    assert.equal(printed, 'true\n')
  } finally {
    engine.close()
    await rm(folder, { recursive: true })
  }
})
