/** Runs a command inside a container; cut off in time and in size. */
import { readFile } from 'node:fs/promises'
import type { Clock } from '../../../lib/clock.ts'
import type { Engine } from './engine.ts'
import { EngineError } from './engine-http.ts'

export interface ExecResult {
  readonly exitCode: number
  readonly output: string
}

/** 124 when it took too long, 126 when the container does not run. */
export async function execInside(
  engine: Engine,
  id: string,
  command: readonly string[],
  {
    timeoutMs,
    limitBytes,
    clock,
  }: { readonly timeoutMs: number; readonly limitBytes: number; readonly clock: Clock },
): Promise<ExecResult> {
  const abort = new AbortController()
  const cancel = clock.after(timeoutMs, () => abort.abort())
  const parts: Uint8Array[] = []
  let size = 0
  const output = () => Buffer.concat(parts).toString('utf8')
  let execId = ''
  try {
    execId = await engine.createExec(id, command)
    for await (const content of engine.execOutput(execId, abort.signal)) {
      const part = content.subarray(0, limitBytes - size)
      size += part.length
      if (part.length > 0) parts.push(part)
    }
    abort.signal.throwIfAborted() // an answer that is cut off may look as if it were complete
    return { exitCode: (await engine.inspectExec(execId)).exitCode, output: output() }
  } catch (error) {
    if (abort.signal.aborted) {
      if (execId !== '') await endExec(engine, id, execId)
      return { exitCode: 124, output: output() }
    }
    if (!(error instanceof EngineError)) throw error
    if (error.status === 404 || error.status === 409)
      return { exitCode: 126, output: 'container is not running' }
    return { exitCode: 127, output: error.message }
  } finally {
    cancel()
  }
}

/** The API has no way to end a command; where its process is one of this machine, that is ended. */
export async function endExec(engine: Engine, id: string, execId: string): Promise<void> {
  try {
    const { pid } = await engine.inspectExec(execId)
    const groups = await readFile(`/proc/${pid}/cgroup`, 'utf8')
    if (pid > 1 && groups.includes(id)) process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended, or runs where this process can't reach; it ends with its container.
  }
}
