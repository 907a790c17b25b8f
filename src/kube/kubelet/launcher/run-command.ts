/** Runs a command to its end, for exec probes and for setting up networks. Output and time are limited. */
import { spawn } from 'node:child_process'
import type { Clock } from '../../../lib/clock.ts'
import type { RunResult, RunSpec } from './protocol.ts'

/** Never rejects: what can't be started answers 127 (or 126, not executable) with the reason as output. */
export function runCommand(spec: RunSpec, clock: Clock): Promise<RunResult> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let size = 0
    let late = false
    let child
    try {
      child = spawn(spec.argv[0] ?? '', spec.argv.slice(1), {
        detached: true,
        env: spec.env ?? { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' },
        stdio: [spec.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
        ...(spec.cwd !== undefined && { cwd: spec.cwd }),
        ...(spec.uid !== undefined && { uid: spec.uid }),
        ...(spec.gid !== undefined && { gid: spec.gid }),
      })
    } catch (error) {
      return resolve({ exitCode: 127, output: (error as Error).message })
    }
    const { pid } = child
    const killAll = () => {
      try {
        if (pid !== undefined) process.kill(-pid, 'SIGKILL')
      } catch {
        // gone already
      }
    }
    const cancel = clock.after(spec.timeoutMs, () => {
      late = true
      killAll()
      // Whoever left the process group may still hold the pipes.
      finish(124)
    })
    const finish = (exitCode: number) => {
      cancel()
      child.stdout?.destroy()
      child.stderr?.destroy()
      resolve({ exitCode, output: Buffer.concat(chunks).toString('utf8') })
    }
    const take = (chunk: Buffer) => {
      const room = spec.limitBytes - size
      if (room <= 0) return
      chunks.push(chunk.length > room ? chunk.subarray(0, room) : chunk)
      size += Math.min(chunk.length, room)
    }
    child.stdout?.on('data', take)
    child.stderr?.on('data', take)
    child.on('error', (error: NodeJS.ErrnoException) => {
      chunks.push(Buffer.from(error.message))
      finish(error.code === 'EACCES' ? 126 : 127)
    })
    child.on('exit', () => killAll())
    child.on('close', (code, signal) => finish(late ? 124 : (code ?? (signal ? 137 : 0))))
    child.stdin?.on('error', () => {})
    child.stdin?.end(spec.input)
  })
}
