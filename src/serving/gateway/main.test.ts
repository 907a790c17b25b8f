import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

test('a gateway without a control plane for too long ends by itself and removes its socket', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ebb-gateway-'))
  const socket = join(folder, 'g.sock')
  const entry = join(import.meta.dirname, 'main.ts')
  const addresses = ['--http', '127.0.0.1:0', '--local', '127.0.0.1:0']
  const gateway = spawn(process.execPath, [
    entry,
    ...addresses,
    '--control',
    socket,
    '--orphaned-after',
    '200',
  ])
  try {
    let log = ''
    gateway.stdout.on('data', (chunk: Buffer) => (log += chunk))
    const code = await new Promise<number | null>((resolve) => gateway.once('exit', resolve))
    assert.equal(code, 0, log)
    assert.match(log, /gateway is listening/)
    assert.match(log, /no control plane for too long/)
    assert.ok(!existsSync(socket))
  } finally {
    gateway.kill('SIGKILL')
    rmSync(folder, { recursive: true })
  }
})
