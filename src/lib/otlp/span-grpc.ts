/** One OTLP export over gRPC: a unary call of `TraceService/Export`. Loaded only where `tracing-protocol` is `grpc`. */
import { connect } from 'node:http2'

const method = '/opentelemetry.proto.collector.trace.v1.TraceService/Export'

/** `endpoint` is `host:port`, `http://host:port` or `https://host:port`. Rejects when the status is not OK. */
export function exportByGrpc(endpoint: string, body: Buffer, timeoutMs: number): Promise<void> {
  const url = /^https?:\/\//.test(endpoint) ? endpoint : `http://${endpoint}`
  return new Promise((resolve, reject) => {
    const session = connect(url)
    const fail = (error: Error): void => {
      session.destroy()
      reject(error)
    }
    session.on('error', fail)
    session.setTimeout(timeoutMs, () => fail(new Error(`no answer within ${timeoutMs} ms`)))
    const call = session.request({
      ':method': 'POST',
      ':path': method,
      'content-type': 'application/grpc',
      te: 'trailers',
    })
    let status: string | undefined
    let message = ''
    const take = (headers: NodeJS.Dict<string | string[] | number>): void => {
      const { 'grpc-status': code, 'grpc-message': text } = headers
      if (code !== undefined) status = code.toString()
      if (text !== undefined) message = text.toString()
    }
    call.on('response', take)
    call.on('trailers', take)
    call.on('error', fail)
    call.on('end', () => {
      session.close()
      if (status === '0') resolve()
      else reject(new Error(`the collector answered grpc-status ${status ?? 'none'} ${message}`))
    })
    call.resume()
    const frame = Buffer.alloc(5)
    frame.writeUInt32BE(body.length, 1)
    call.end(Buffer.concat([frame, body]))
  })
}
