/**
 * Connections that leave HTTP for a pod: exec, attach and port-forward, each over SPDY or a WebSocket.
 * Their caller is known and may. As long as nothing was answered, what is wrong is an ordinary Status.
 */
import type { Duplex } from 'node:stream'
import type { Clock } from '../../../lib/clock.ts'
import type { UnknownObject } from '../../api/meta.ts'
import { badRequest } from '../../api/status-error.ts'
import type { AnswerUpgrade, UpgradeCall } from '../access/upgrade.ts'
import { unknownResource } from '../machinery.ts'
import { isRecord } from '../values.ts'
import { closedInOrder, endWhenIdle } from './connection-end.ts'
import { checkRunning, execRequest } from './exec-request.ts'
import {
  portForwardProtocol,
  portForwardTunnel,
  servePortForward,
  type PortForwardDeps,
} from './port-forward.ts'
import { readObject, type TargetDeps } from './proxy-target.ts'
import { serveSession, type Session } from './session.ts'
import { acceptSpdy, wantsSpdy } from './spdy-handshake.ts'
import { spdyExecProtocols, spdySession } from './spdy-session.ts'
import {
  acceptWebSocket,
  noCommonProtocol,
  offeredProtocols,
  wantsWebSocket,
} from './websocket-handshake.ts'
import { webSocketExecProtocols, webSocketSession } from './websocket-session.ts'
import { portsOf, serveWebSocketPortForward } from './websocket-port-forward.ts'

export interface UpgradeDeps extends TargetDeps {
  /** Takes connections of the proxy subresources. */
  readonly proxy: AnswerUpgrade
}

export function answerUpgrades(deps: UpgradeDeps): AnswerUpgrade {
  return async (call) => {
    const { path, kind, socket, signal } = call
    if (kind.group !== '') throw unknownResource()
    endWhenIdle(socket, deps.clock)
    signal.addEventListener('abort', () => socket.destroy(), { once: true })
    if (path.subresource === 'proxy') return await deps.proxy(call)
    if (kind.kind !== 'Pod') throw unknownResource()
    switch (path.subresource) {
      case 'exec':
      case 'attach':
        return await serveProgram(call, path.subresource, deps)
      case 'portforward':
        return await forwardPorts(call, deps)
      default:
        throw unknownResource()
    }
  }
}

async function serveProgram(
  call: UpgradeCall,
  verb: 'exec' | 'attach',
  { api, streams, clock }: UpgradeDeps,
): Promise<void> {
  const pod = await readObject(api, 'pods', call.path)
  const request = execRequest(pod, call.url.searchParams, verb)
  checkRunning(pod, request.container)
  const session = await openSession(call, request, clock)
  if (!session) return
  await serveSession(session, clock, async (size) => {
    const { container, command, stdin, tty } = request
    if (verb === 'exec')
      return await streams.exec(pod, container, command, { stdin, tty, ...(size && { size }) })
    const program = await streams.attach(pod, container)
    if (size) program.resize(size)
    return program
  })
}

async function openSession(
  { request, socket, head }: UpgradeCall,
  wanted: Parameters<typeof spdySession>[1],
  clock: Clock,
): Promise<Session | undefined> {
  if (wantsSpdy(request)) {
    if (!acceptSpdy(request, socket, head, spdyExecProtocols)) return undefined
    return await spdySession(socket, wanted, clock)
  }
  if (!wantsWebSocket(request)) throw badRequest('Upgrade request required')
  const offered = offeredProtocols(request)
  const protocol = offered.find((name) => webSocketExecProtocols.includes(name))
  if (protocol === undefined && offered.length > 0) throw noCommonProtocol(request)
  return webSocketSession(await acceptWebSocket(request, socket, head, protocol), wanted, protocol)
}

async function forwardPorts(
  call: UpgradeCall,
  { api, streams, clock }: UpgradeDeps,
): Promise<void> {
  const { request, socket, head, url } = call
  const pod = await readObject(api, 'pods', call.path)
  checkHasNetwork(pod)
  const deps: PortForwardDeps = {
    podText: `${pod.metadata.name}, uid : ${pod.metadata.uid ?? ''}`,
    dial: (port) => streams.dial(pod, port),
    clock,
  }
  if (wantsSpdy(request)) {
    if (acceptSpdy(request, socket, head, [portForwardProtocol]))
      await servePortForward(socket, deps)
    return await closedInOrder(socket, clock)
  }
  if (!wantsWebSocket(request)) throw badRequest('Upgrade request required')
  const offered = offeredProtocols(request)
  if (offered.includes(portForwardTunnel)) {
    const { createWebSocketStream } = await import('ws')
    const webSocket = await acceptWebSocket(request, socket, head, portForwardTunnel)
    const tunnel: Duplex = createWebSocketStream(webSocket)
    return await servePortForward(tunnel, deps)
  }
  const protocol = offered.find((name) => webSocketExecProtocols.includes(name))
  if (protocol === undefined && offered.length > 0) throw noCommonProtocol(request)
  const ports = portsOf(url.searchParams)
  const webSocket = await acceptWebSocket(request, socket, head, protocol)
  await serveWebSocketPortForward(webSocket, ports, protocol ?? '', deps)
}

function checkHasNetwork(pod: UnknownObject): void {
  const { phase } = isRecord(pod['status']) ? pod['status'] : {}
  if (phase !== 'Running')
    throw badRequest(
      `unable to forward port because pod is not running. Current status=${String(phase)}`,
    )
}
