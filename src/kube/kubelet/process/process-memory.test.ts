import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { memoryOfTree } from './process-memory.ts'

test('memory of a process counts what it has started; one that is gone has none', async (t) => {
  const script = `require('child_process').spawn(process.execPath, ['-e', 'console.log("up"); setInterval(() => {}, 1000)'], { stdio: 'inherit' }); setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['-e', script], {
    stdio: ['ignore', 'pipe', 'ignore'],
    detached: true,
  })
  const pid = child.pid ?? 0
  t.after(() => {
    if (child.exitCode === null && child.signalCode === null) process.kill(-pid, 'SIGKILL')
  })
  await once(child.stdout, 'data')
  const both = await memoryOfTree(pid)
  assert.ok(both > 10 << 20, `${both} bytes for two Node processes`)
  process.kill(-pid, 'SIGKILL')
  await once(child, 'exit')
  assert.equal(await memoryOfTree(pid), 0)
})
