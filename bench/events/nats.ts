/** NATS' text protocol as far as publishing to JetStream with acknowledgements takes it: a peer for the bench. */
import { connect } from 'node:net'

export interface NatsConnection {
  /** The answer's payload. */
  request(subject: string, payload: Buffer): Promise<string>
  close(): void
}

const CRLF = Buffer.from('\r\n')

export function natsConnection(port: number): Promise<NatsConnection> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true })
    const inbox = `_INBOX.${process.pid}.${Math.random().toString(36).slice(2)}`
    const waiting = new Map<string, (payload: string) => void>()
    let next = 0
    let bytes: Buffer = Buffer.alloc(0)
    socket.on('error', reject)
    socket.on('data', (chunk) => {
      bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk])
      for (;;) {
        const end = bytes.indexOf(CRLF)
        if (end < 0) return
        const line = bytes.toString('latin1', 0, end)
        if (line.startsWith('INFO')) {
          socket.write(`CONNECT {"verbose":false,"pedantic":false}\r\nSUB ${inbox}.* 1\r\nPING\r\n`)
        } else if (line === 'PING') socket.write('PONG\r\n')
        else if (line === 'PONG') resolve(connection)
        else if (line.startsWith('MSG ')) {
          const words = line.split(' ')
          const subject = words[1] ?? ''
          // With or without a subject to answer to.
          const size = words.at(-1)
          const stop = end + 2 + Number(size)
          if (bytes.length < stop + 2) return
          const token = subject.slice(inbox.length + 1)
          waiting.get(token)?.(bytes.toString('utf8', end + 2, stop))
          waiting.delete(token)
          bytes = bytes.subarray(stop + 2)
          continue
        } else if (line.startsWith('-ERR')) reject(new Error(line))
        bytes = bytes.subarray(end + 2)
      }
    })
    const connection: NatsConnection = {
      request: (subject, payload) =>
        new Promise((answered) => {
          const token = String(next++)
          waiting.set(token, answered)
          const head = Buffer.from(`PUB ${subject} ${inbox}.${token} ${payload.length}\r\n`)
          socket.write(Buffer.concat([head, payload, CRLF]))
        }),
      close: () => void socket.destroy(),
    }
  })
}
