/** Lifecycle hooks of a container: exec, httpGet, sleep; tcpSocket, which no kubelet has ever run. */
import type { ClientRequest, RequestOptions } from 'node:http'
import { sleep, type Clock } from '../../../lib/clock.ts'
import type { ContainerDefinition } from '../container/container-state.ts'
import type { ProbeTarget } from '../probes/probe.ts'

/** `sleep` is newer than kubernetes-types. */
export type Hook = NonNullable<NonNullable<ContainerDefinition['lifecycle']>['preStop']> & {
  readonly sleep?: { readonly seconds?: number }
}

/** Resolves undefined on success, else with what went wrong. Bounded by `timeoutMs`; `signal` ends a sleep. */
export async function runHook(
  hook: Hook,
  timeoutMs: number,
  target: ProbeTarget,
  clock: Clock,
  signal?: AbortSignal,
): Promise<string | undefined> {
  if (hook.exec) {
    const { exitCode, output } = await target.exec(hook.exec.command ?? [], timeoutMs)
    return exitCode === 0
      ? undefined
      : `command ${JSON.stringify(hook.exec.command)} exited with ${exitCode}: ${output}`
  }
  if (hook.httpGet) return await callHttp(hook.httpGet, timeoutMs, target, clock)
  if (hook.tcpSocket) return 'hooks of type tcpSocket are not supported'
  if (hook.sleep?.seconds)
    await sleep(clock, Math.min(hook.sleep.seconds * 1000, timeoutMs), signal).catch(() => {})
  return undefined
}

async function callHttp(
  get: NonNullable<Hook['httpGet']>,
  timeoutMs: number,
  target: ProbeTarget,
  clock: Clock,
): Promise<string | undefined> {
  const port = target.port(get.port)
  if (port === undefined) return `couldn't find port: ${get.port}`
  const options: RequestOptions = {
    host: get.host || target.host,
    port,
    path: get.path?.startsWith('/') ? get.path : `/${get.path ?? ''}`,
    agent: false,
    headers: {
      'User-Agent': 'kube-lifecycle/1.32',
      ...Object.fromEntries((get.httpHeaders ?? []).map(({ name, value }) => [name, value])),
    },
  }
  let outgoing: ClientRequest
  if (get.scheme === 'HTTPS') {
    const { request } = await import('node:https')
    outgoing = request({ ...options, rejectUnauthorized: false }) // as the kubelet
  } else {
    const { request } = await import('node:http')
    outgoing = request(options)
  }
  return await new Promise((resolve) => {
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
