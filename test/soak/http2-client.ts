/** Clients of the soak that speak HTTP/2: several share a connection, each with a request of its own at a time. */
import { connect, constants, type ClientHttp2Session } from 'node:http2'
import { account as record, draw, type TrafficOptions, type Wanted } from './traffic.ts'

/** A connection that is opened again when it has ended; shared by a few clients. */
export class SharedSession {
  readonly #url: string
  #session: ClientHttp2Session | undefined

  constructor({ host, port }: { readonly host: string; readonly port: number }) {
    this.#url = `http://${host}:${port}`
  }

  get(): ClientHttp2Session {
    if (this.#session && !this.#session.closed && !this.#session.destroyed) return this.#session
    const session = connect(this.#url)
    session.setMaxListeners(0) // each stream listens for the end
    session.on('error', () => {}) // its streams say so
    session.on('goaway', () => session.close())
    this.#session = session
    return session
  }

  close(): void {
    this.#session?.close()
  }
}

export async function http2Client(
  name: string,
  shared: SharedSession,
  options: TrafficOptions,
): Promise<void> {
  for (let i = 0; !options.stopped(); i++) {
    const pauseMs = options.pauseMs()
    if (pauseMs > 0) {
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
      continue
    }
    const wanted = draw(`${name}-${i}`, options.host, options.random)
    await record(wanted, options, async () => {
      for (;;)
        try {
          return await exchange(shared.get(), options.host, wanted)
        } catch (error) {
          // The server says that it has not looked at the request (RFC 9113 8.7): a client sends it again.
          if (!(error instanceof Unprocessed)) throw error
        }
    })
  }
}

class Unprocessed extends Error {}

const patienceMs = 60_000

/** Answers the revision. Throws for everything that is not the answer to this very request. */
function exchange(session: ClientHttp2Session, host: string, wanted: Wanted): Promise<string> {
  const { id, method, size, uploaded, wait } = wanted
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ':method': method,
      ':path': `/${id}`,
      ':authority': host,
      'x-id': id,
      'x-size': String(size),
      'x-wait': String(wait),
      ...(uploaded > 0 && { 'content-length': String(uploaded) }),
    })
    let headers: Readonly<Record<string, unknown>> = {}
    let payload = ''
    let goneAway = false
    const away = (_code: number, lastStreamId: number): void => {
      goneAway = stream.id !== undefined && stream.id > lastStreamId
    }
    session.once('goaway', away)
    stream.setEncoding('latin1')
    stream.setTimeout(patienceMs, () => {
      stream.close(constants.NGHTTP2_CANCEL)
      reject(new Error(`no answer within ${patienceMs} ms`))
    })
    stream.on('response', (received) => (headers = received))
    stream.on('data', (text: string) => (payload += text))
    stream.on('error', (error) => {
      const refused = stream.rstCode === constants.NGHTTP2_REFUSED_STREAM || goneAway
      reject(refused ? new Unprocessed() : error)
    })
    stream.on('close', () => {
      session.off('goaway', away)
      if (headers[':status'] === undefined)
        reject(goneAway ? new Unprocessed() : new Error('closed'))
    })
    stream.on('end', () => {
      const expected = id.repeat(Math.ceil(size / id.length)).slice(0, size)
      if (headers[':status'] !== 200)
        reject(new Error(`${String(headers[':status'])} ${payload.slice(0, 200)}`))
      else if (headers['x-id'] !== id)
        reject(new Error(`the answer to ${String(headers['x-id'])} came`))
      else if (headers['x-received'] !== String(uploaded))
        reject(new Error(`${String(headers['x-received'])} of ${uploaded} bytes reached the app`))
      else if (payload !== expected)
        reject(new Error(`${payload.length} bytes came, or others than ${size}`))
      else resolve(String(headers['x-revision']))
    })
    stream.end(uploaded > 0 ? 'x'.repeat(uploaded) : undefined)
  })
}
