/** Lifecycle hooks of a container: exec, httpGet, sleep (contracts/kube §10.8). */
import { request } from 'node:http'
import { sleep, type Clock } from '../../lib/clock.ts'
import type { ContainerDefinition } from './container-state.ts'
import type { ProbeTarget } from './probe.ts'

export type Hook = NonNullable<NonNullable<ContainerDefinition['lifecycle']>['preStop']>

/** Resolves undefined on success, else with what went wrong. Bounded by `timeoutMs`. */
export async function runHook(
  hook: Hook,
  timeoutMs: number,
  target: ProbeTarget,
  clock: Clock,
): Promise<string | undefined> {
  if (hook.exec) {
    const { exitCode, output } = await target.exec(hook.exec.command ?? [], timeoutMs)
    return exitCode === 0
      ? undefined
      : `command ${JSON.stringify(hook.exec.command)} exited with ${exitCode}: ${output}`
  }
  if (hook.httpGet) {
    const port = target.port(hook.httpGet.port)
    if (port === undefined) return `couldn't find port: ${hook.httpGet.port}`
    const host = hook.httpGet.host || target.host
    const path = hook.httpGet.path ?? '/'
    return await new Promise((resolve) => {
      const outgoing = request({
        host,
        port,
        path,
        agent: false,
        headers: { 'User-Agent': 'kube-lifecycle/1.32' },
      })
      const finish = (result?: string) => {
        cancel()
        resolve(result)
        outgoing.destroy()
      }
      const cancel = clock.after(timeoutMs, () => finish('context deadline exceeded'))
      outgoing.on('response', ({ statusCode = 0 }) =>
        finish(statusCode < 400 ? undefined : `HTTP status ${statusCode}`),
      )
      outgoing.on('error', (error) => finish(error.message))
      outgoing.end()
    })
  }
  const pause = (hook as { readonly sleep?: { readonly seconds?: number } }).sleep
  if (pause?.seconds) await sleep(clock, Math.min(pause.seconds * 1000, timeoutMs))
  return undefined
}
