import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { arch, tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { holderImage, holderProgram } from './holder.ts'

const machine = { x64: 'x86_64', arm64: 'aarch64' }[arch() as string]

test(
  'the program waits until it is ended',
  {
    skip:
      (process.platform !== 'linux' || machine === undefined) && 'needs Linux on x86-64 or arm64',
  },
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'ebb-holder-'))
    const path = join(folder, 'hold')
    await writeFile(path, holderProgram(machine ?? ''), { mode: 0o755 })
    const child = spawn(path)
    try {
      await once(child, 'spawn')
      // Stopped and continued, its wait is interrupted: it must begin another.
      child.kill('SIGSTOP')
      child.kill('SIGCONT')
      const stat = await readFile(`/proc/${child.pid}/stat`, 'utf8')
      assert.match(stat, /\) [STRt] /)
      child.kill('SIGTERM')
      const [code, signal] = await once(child, 'exit')
      assert.deepEqual([code, signal], [null, 'SIGTERM'])
    } finally {
      child.kill('SIGKILL')
      await rm(folder, { recursive: true })
    }
  },
)

test('its image is the same each time, and says for which machine it is', async () => {
  for (const [name, architecture] of [
    ['x86_64', 'amd64'],
    ['arm64', 'arm64'],
  ] as const) {
    const [one, two] = [await holderImage(name), await holderImage(name)]
    assert.deepEqual(one, two)
    assert.equal(JSON.parse(one.config.toString()).architecture, architecture)
  }
  await assert.rejects(holderImage('vax'), /of type "vax"/)
})
