/**
 * The DNS server for pods, on the address at which they see this machine: names of the cluster from the informers'
 * caches, everything else by the machine's own servers. UDP and TCP (RFC 1035, 7766).
 */
import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram'
import { readFileSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import type { Clock } from '../../../lib/clock.ts'
import type { Log } from '../../../lib/log.ts'
import type { Found } from './cluster-names.ts'
import { parseQuestion, recordTypes, response, responseCodes } from './message.ts'

export interface DnsServerOptions {
  readonly address: string
  /** Default 53. */
  readonly port?: number
  readonly find: (name: string) => Found
  /** Servers for other names, `ip` or `ip:port`; default: those of /etc/resolv.conf. */
  readonly upstream?: () => readonly string[]
  readonly clock: Clock
  readonly log: Log
}

export interface DnsServer extends AsyncDisposable {
  readonly address: string
  readonly port: number
}

/** Names come and go with pods. */
const ttlSeconds = 5
const upstreamLimitMs = 5_000
/** Questions under way to other servers; more are told to try again. */
const mostForwarded = 1_000
const mostConnections = 200
const idleMs = 10_000

/** Resolves once it listens. Rejects when the address or the port can't be had. */
export async function startDnsServer(options: DnsServerOptions): Promise<DnsServer> {
  const { address, clock, find, log, upstream = ownServers } = options
  const udp = createSocket('udp4')
  await new Promise<void>((resolve, reject) => {
    udp.once('error', reject)
    udp.bind({ address, port: options.port ?? 53, exclusive: true }, resolve)
  })
  const { port } = udp.address()
  const connections = new Set<Socket>()
  const underWay = new Set<() => void>()

  /** Undefined for what deserves no answer. */
  const answer = async (message: Buffer, viaTcp: boolean): Promise<Buffer | undefined> => {
    const question = parseQuestion(message)
    if (!question) return message.length >= 12 ? await forward(message, viaTcp) : undefined
    const found = find(question.name)
    if (found === 'elsewhere') return await forward(message, viaTcp)
    const isMissing = found === 'missing'
    const wanted = question.type === recordTypes.a || question.type === recordTypes.any
    return response(question, {
      code: isMissing ? responseCodes.noSuchName : responseCodes.ok,
      ...(!isMissing && wanted && { addresses: found }),
      ttlSeconds,
    })
  }

  const forward = async (message: Buffer, viaTcp: boolean): Promise<Buffer | undefined> => {
    if (underWay.size < mostForwarded)
      for (const server of upstream()) {
        const [host = '', serverPort = '53'] = server.split(':')
        const ask = viaTcp ? askTcp : askUdp
        const answered = await ask(message, host, Number(serverPort), clock, underWay)
        if (answered) return answered
      }
    return failure(message)
  }

  udp.on('message', (message, from: RemoteInfo) => {
    void answer(message, false)
      .then((bytes) => bytes && udp.send(bytes, from.port, from.address, () => {}))
      .catch((error: unknown) => log.debug('a name was not answered', { error }))
  })
  udp.on('error', (error) => log.error('the DNS server for pods failed', { error }))

  const tcp = createServer((socket) => {
    if (connections.size >= mostConnections) return socket.destroy()
    connections.add(socket)
    socket.setTimeout(idleMs, () => socket.destroy())
    socket.on('error', () => {})
    socket.on('close', () => connections.delete(socket))
    let rest = Buffer.alloc(0)
    let turn = Promise.resolve()
    socket.on('data', (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk])
      while (rest.length >= 2 && rest.length >= 2 + rest.readUInt16BE(0)) {
        const message = rest.subarray(2, 2 + rest.readUInt16BE(0))
        rest = rest.subarray(2 + message.length)
        turn = turn
          .then(() => answer(message, true))
          .then((bytes) => void (bytes && socket.write(framed(bytes))))
          .catch(() => void socket.destroy())
      }
    })
  })
  try {
    await listening(tcp, address, port)
  } catch (error) {
    udp.close()
    throw error
  }
  return {
    address,
    port,
    async [Symbol.asyncDispose]() {
      for (const stop of underWay) stop()
      for (const socket of connections) socket.destroy()
      await Promise.all([
        new Promise<void>((resolve) => udp.close(() => resolve())),
        new Promise<void>((resolve) => tcp.close(() => resolve())),
      ])
    },
  }
}

const listening = (server: Server, host: string, port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port, exclusive: true }, resolve)
  })

const framed = (message: Buffer): Buffer => {
  const length = Buffer.alloc(2)
  length.writeUInt16BE(message.length)
  return Buffer.concat([length, message])
}

/** The question back, as one that could not be answered now. */
function failure(message: Buffer): Buffer {
  const bytes = Buffer.from(message)
  bytes.writeUInt16BE((bytes.readUInt16BE(2) & 0x7910) | 0x8080 | responseCodes.serverFailure, 2)
  return bytes
}

type Ask = (
  message: Buffer,
  host: string,
  port: number,
  clock: Clock,
  underWay: Set<() => void>,
) => Promise<Buffer | undefined>

const askUdp: Ask = (message, host, port, clock, underWay) =>
  new Promise((resolve) => {
    const socket: UdpSocket = createSocket('udp4')
    const finish = (answered?: Buffer) => {
      if (!underWay.delete(stop)) return
      cancel()
      socket.close()
      resolve(answered)
    }
    const stop = () => finish()
    underWay.add(stop)
    const cancel = clock.after(upstreamLimitMs, stop)
    socket.on('error', stop)
    socket.on('message', (answered) => {
      if (answered.length >= 12 && answered.readUInt16BE(0) === message.readUInt16BE(0))
        finish(answered)
    })
    // Connected: answers of others are not taken.
    socket.connect(port, host, () => socket.send(message, (error) => error && stop()))
  })

const askTcp: Ask = (message, host, port, clock, underWay) =>
  new Promise((resolve) => {
    const socket = connect({ host, port })
    let got = Buffer.alloc(0)
    const finish = (answered?: Buffer) => {
      if (!underWay.delete(stop)) return
      cancel()
      socket.destroy()
      resolve(answered)
    }
    const stop = () => finish()
    underWay.add(stop)
    const cancel = clock.after(upstreamLimitMs, stop)
    socket.on('error', stop)
    socket.on('close', stop)
    socket.on('connect', () => socket.write(framed(message)))
    socket.on('data', (chunk: Buffer) => {
      got = Buffer.concat([got, chunk])
      if (got.length >= 2 && got.length >= 2 + got.readUInt16BE(0))
        finish(got.subarray(2, 2 + got.readUInt16BE(0)))
    })
  })

function ownServers(): readonly string[] {
  let text: string
  try {
    text = readFileSync('/etc/resolv.conf', 'utf8')
  } catch {
    return []
  }
  return [...text.matchAll(/^nameserver\s+(\d+\.\d+\.\d+\.\d+)\s*$/gm)].map(([, ip = '']) => ip)
}
