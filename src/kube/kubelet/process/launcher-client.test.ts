import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../../../lib/clock.ts'
import { silent } from '../../../lib/log.ts'
import { connectLauncher } from './launcher-client.ts'

test('a launcher that is ending is waited for, not adopted', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'ebb-launcher-'))
  try {
    const prefix = 'fedcbafedcba'
    const options = {
      dataDir,
      socketPath: join(dataDir, 'l.sock'),
      prefix,
      clock: systemClock,
      log: silent,
    }
    const first = await connectLauncher(options)
    const firstPid = first.pid
    await first.start({
      id: prefix.padEnd(64, '0'),
      podUid: 'uid',
      container: 'c',
      attempt: 0,
      argv: ['/bin/sh', '-c', 'trap "" TERM; while :; do sleep 1; done'],
      cwd: '/',
      env: { PATH: '/bin:/usr/bin' },
      logPath: join(dataDir, 'log', 'c'),
      exec: { rootfs: '/', cwd: '/', path: '', env: {}, enter: [], hasView: false },
    })
    const stopped = first.stop(300)
    // Answered after the request to stop was taken, as requests of one connection are taken in order.
    await first.signal('nobody', 'SIGCONT')
    const second = await connectLauncher(options)
    await stopped
    assert.notEqual(second.pid, firstPid)
    assert.equal(second.found, false)
    assert.deepEqual(second.pods, [])
    await second.stop(0)
  } finally {
    await rm(dataDir, { recursive: true, force: true })
  }
})
