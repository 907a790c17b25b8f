/** grpc.health.v1.Health/Check over HTTP/2 without TLS. Loaded only when a probe asks for it. */
import { connect } from 'node:http2'
import type { Clock } from '../../../lib/clock.ts'

const serving = 1

/** undefined = SERVING; else what went wrong. */
export function grpcProbe(
  host: string,
  port: number,
  service: string,
  timeoutMs: number,
  clock: Clock,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const session = connect(`http://${host}:${port}`)
    const finish = (result: string | undefined) => {
      cancel()
      session.destroy()
      resolve(result)
    }
    const cancel = clock.after(timeoutMs, () =>
      finish(
        `timeout: failed to connect service "${host}:${port}" within ${timeoutMs / 1000}s: context deadline exceeded`,
      ),
    )
    session.on('error', (error) =>
      finish(`error: failed to connect service at "${host}:${port}": ${error.message}`),
    )
    const stream = session.request({
      ':method': 'POST',
      ':path': '/grpc.health.v1.Health/Check',
      'content-type': 'application/grpc',
      'user-agent': 'kube-probe/1.32',
      te: 'trailers',
    })
    const chunks: Buffer[] = []
    let size = 0
    let status: string | undefined
    const seeStatus = (headers: Record<string, unknown>) => {
      const found = headers['grpc-status']
      if (typeof found === 'string') status = found
    }
    stream.on('response', seeStatus)
    stream.on('trailers', seeStatus)
    stream.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size <= 4096) chunks.push(chunk)
    })
    stream.on('error', (error) => finish(error.message))
    stream.on('end', () => {
      if (status !== undefined && status !== '0')
        return finish(
          status === '12'
            ? `error: this server does not implement the grpc health protocol (grpc.health.v1.Health)`
            : `error: health rpc failed with grpc status ${status}`,
        )
      const answer = servingStatus(Buffer.concat(chunks))
      finish(
        answer === serving
          ? undefined
          : `service unhealthy (responded with "${statusNames[answer] ?? answer}")`,
      )
    })
    stream.end(frame(request(service)))
  })
}

const statusNames: Readonly<Record<number, string>> = {
  0: 'UNKNOWN',
  2: 'NOT_SERVING',
  3: 'SERVICE_UNKNOWN',
}

/** HealthCheckRequest { string service = 1 }. */
function request(service: string): Buffer {
  const name = Buffer.from(service)
  if (name.length === 0) return name
  if (name.length > 127)
    throw new Error('the name of a gRPC health service is at most 127 bytes long')
  return Buffer.concat([Buffer.from([0x0a, name.length]), name])
}

function frame(message: Buffer): Buffer {
  const head = Buffer.alloc(5)
  head.writeUInt32BE(message.length, 1)
  return Buffer.concat([head, message])
}

/** HealthCheckResponse { ServingStatus status = 1 } behind its five bytes of framing. */
const servingStatus = (body: Buffer): number =>
  body.length >= 7 && body[5] === 0x08 ? (body[6] ?? 0) : 0
