/**
 * One attempt of a probe: exec, HTTP, TCP or gRPC health, with Kubernetes' messages (kubelet's
 * prober). Never rejects.
 */
import { request as httpRequest, type ClientRequest, type RequestOptions } from 'node:http'
import { connect as connectTcp } from 'node:net'
import type { Clock } from '../../../lib/clock.ts'
import type { ContainerDefinition } from '../container/container-state.ts'

export type ProbeDefinition = NonNullable<ContainerDefinition['readinessProbe']>

export interface ProbeTarget {
  readonly host: string
  /** Port on the host that a number or name of a port means. */
  readonly port: (port: number | string) => number | undefined
  readonly exec: (
    command: readonly string[],
    timeoutMs: number,
  ) => Promise<{ readonly exitCode: number; readonly output: string }>
  readonly clock: Clock
}

/** undefined = success; else what went wrong. */
export type ProbeResult = string | undefined

/** How much of an answer is kept for the message. */
const outputLimitBytes = 1024

export async function runProbe(
  probe: ProbeDefinition,
  timeoutMs: number,
  target: ProbeTarget,
): Promise<ProbeResult> {
  try {
    if (probe.exec) {
      const { exitCode, output } = await target.exec(probe.exec.command ?? [], timeoutMs)
      if (exitCode === 0) return undefined
      return exitCode === 124
        ? `command timed out: ${JSON.stringify((probe.exec.command ?? []).join(' '))} timed out after ${timeoutMs / 1000}s`
        : output.slice(0, outputLimitBytes)
    }
    const wanted = probe.httpGet?.port ?? probe.tcpSocket?.port ?? probe.grpc?.port
    if (wanted === undefined) return 'probe has no handler'
    const port = target.port(wanted)
    if (port === undefined) return `couldn't find port: ${wanted}`
    if (probe.httpGet) return await httpProbe(probe.httpGet, port, timeoutMs, target)
    if (probe.grpc) {
      const { grpcProbe } = await import('./grpc-probe.ts')
      return await grpcProbe(target.host, port, probe.grpc.service ?? '', timeoutMs, target.clock)
    }
    return await tcpProbe(probe.tcpSocket?.host || target.host, port, timeoutMs, target.clock)
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

function tcpProbe(
  host: string,
  port: number,
  timeoutMs: number,
  clock: Clock,
): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const socket = connectTcp({ host, port, noDelay: true })
    const finish = (result: ProbeResult) => {
      cancel()
      socket.destroy()
      resolve(result)
    }
    const cancel = clock.after(timeoutMs, () => finish(`dial tcp ${host}:${port}: i/o timeout`))
    socket.once('connect', () => finish(undefined))
    socket.once('error', (error) => finish(dialText(host, port, error)))
  })
}

function httpProbe(
  get: NonNullable<ProbeDefinition['httpGet']>,
  port: number,
  timeoutMs: number,
  { host: podIP, clock }: ProbeTarget,
): Promise<ProbeResult> {
  if (get.scheme === 'HTTPS') return httpsProbe(get, port, timeoutMs, podIP, clock)
  return sendHttp(httpRequest, 'http', get, port, timeoutMs, podIP, clock)
}

async function httpsProbe(
  get: NonNullable<ProbeDefinition['httpGet']>,
  port: number,
  timeoutMs: number,
  podIP: string,
  clock: Clock,
): Promise<ProbeResult> {
  const { request } = await import('node:https')
  // As the kubelet: the certificate is not checked.
  const insecure: Send = (options) => request({ ...options, rejectUnauthorized: false })
  return await sendHttp(insecure, 'https', get, port, timeoutMs, podIP, clock)
}

type Send = (options: RequestOptions) => ClientRequest

function sendHttp(
  request: Send,
  scheme: string,
  get: NonNullable<ProbeDefinition['httpGet']>,
  port: number,
  timeoutMs: number,
  podIP: string,
  clock: Clock,
): Promise<ProbeResult> {
  const host = get.host || podIP
  const path = get.path?.startsWith('/') ? get.path : `/${get.path ?? ''}`
  const url = `${scheme}://${host}:${port}${path}`
  const headers: Record<string, string> = {
    'User-Agent': 'kube-probe/1.32',
    Accept: '*/*',
    Connection: 'close',
  }
  for (const { name, value } of get.httpHeaders ?? []) headers[name] = value
  return new Promise((resolve) => {
    let done = false
    const finish = (result: ProbeResult) => {
      if (done) return
      done = true
      cancel()
      resolve(result)
      outgoing.destroy()
    }
    const cancel = clock.after(timeoutMs, () =>
      finish(
        `Get "${url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`,
      ),
    )
    const outgoing = request({ host, port, path, headers, agent: false, method: 'GET' })
    outgoing.on('response', (response) => {
      const code = response.statusCode ?? 0
      response.resume()
      finish(code >= 200 && code < 400 ? undefined : `HTTP probe failed with statuscode: ${code}`)
    })
    outgoing.on('error', (error) => finish(`Get "${url}": ${dialText(host, port, error)}`))
    outgoing.end()
  })
}

const dialWords: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connect: connection refused',
  ECONNRESET: 'read: connection reset by peer',
  EHOSTUNREACH: 'connect: no route to host',
  ENETUNREACH: 'connect: network is unreachable',
}

function dialText(host: string, port: number, error: NodeJS.ErrnoException): string {
  if (error.code === 'ECONNRESET' || error.message === 'socket hang up') return 'EOF'
  return `dial tcp ${host}:${port}: ${dialWords[error.code ?? ''] ?? error.message}`
}
