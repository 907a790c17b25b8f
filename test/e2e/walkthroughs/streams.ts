/** Walk-throughs 14 (WebSocket chat) and 15 (gRPC ping), each woken from zero. Clients: ws, grpc-js. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Client, credentials, type ServiceError } from '@grpc/grpc-js'
import { WebSocket } from 'ws'
import { until, type Ebb } from '../platform.ts'
import { bookRegistry, manifest, podsOf, waitReady, type Walkthrough } from './walkthrough.ts'

/** A message with one string, field 1, shorter than 128 bytes. */
export const encode = (text: string): Buffer =>
  Buffer.concat([Buffer.from([10, Buffer.byteLength(text)]), Buffer.from(text)])
export const decode = (bytes: Buffer): string => bytes.toString('utf8', 2)

const atZero = (ebb: Ebb, name: string) =>
  until(`${name} is at zero`, async () => (await podsOf(ebb, name)).length === 0, 60_000)
const address = (ebb: Ebb) => `127.0.0.1:${ebb.gateway.port}`

export const websocketChat: Walkthrough = {
  number: '14',
  title: 'two windows of the chat, the first opened at zero; an open one keeps the pod',
  images: { [`${bookRegistry}/websocket-chat:2019-10-15`]: 'websocket-chat' },
  async walk(ebb, domain) {
    const host = `websocket-chat.default.${domain}`
    await ebb.ok('apply', '-f', manifest('14-websocket-chat', 'service.yaml'))
    await waitReady(ebb, 'websocket-chat')
    await atZero(ebb, 'websocket-chat')
    const open = async (origin: string): Promise<WebSocket> => {
      const socket = new WebSocket(`ws://${address(ebb)}/ws`, {
        headers: { Host: host, Origin: origin },
      })
      await once(socket, 'open')
      return socket
    }
    const one = await open(`http://${host}`)
    const two = await open(`http://${host}`)
    const heard = Promise.all(
      [one, two].map(async (socket) => {
        const [data] = (await once(socket, 'message')) as [Buffer]
        return data.toString()
      }),
    )
    one.send(' hello\nthere ')
    assert.deepEqual(await heard, ['hello there', 'hello there'])
    // Another site's page is refused by the app, which compares Origin with the Host that it sees.
    await assert.rejects(open('http://evil.example.com'), /403/)
    const page = await ebb.get(host)
    assert.match(page.body, /Send/)
    two.close()
    // Longer than the stable window and the grace period together.
    const stay = performance.now() + 9_000
    await until('the time of an idle service is over', async () => {
      assert.equal((await podsOf(ebb, 'websocket-chat')).length, 1)
      return performance.now() > stay
    })
    const again = once(one, 'message') as Promise<[Buffer]>
    one.send('still there')
    assert.equal((await again)[0].toString(), 'still there')
    one.close()
    await atZero(ebb, 'websocket-chat')
  },
}

export const grpcPing: Walkthrough = {
  number: '15',
  title: 'gRPC ping and ping stream over cleartext HTTP/2, the first call at zero',
  images: { [`${bookRegistry}/grpc-ping-go:2019-10-15`]: 'grpc-ping' },
  async walk(ebb, domain) {
    const host = `grpc-ping.default.${domain}`
    await ebb.ok('apply', '-f', manifest('15-grpc-ping', 'service.yaml'))
    await waitReady(ebb, 'grpc-ping')
    await atZero(ebb, 'grpc-ping')
    const client = new Client(address(ebb), credentials.createInsecure(), {
      'grpc.default_authority': `${host}:80`,
    })
    try {
      const answer = await new Promise<string | undefined>((resolve, reject) => {
        const deadline = new Date(new Date().getTime() + 120_000)
        client.makeUnaryRequest(
          '/ping.PingService/Ping',
          encode,
          decode,
          'hello',
          { deadline },
          (error: ServiceError | null, value?: string) => (error ? reject(error) : resolve(value)),
        )
      })
      assert.equal(answer, 'hello - pong')
      const stream = client.makeBidiStreamRequest<string, string>(
        '/ping.PingService/PingStream',
        encode,
        decode,
        { deadline: new Date(new Date().getTime() + 10_000) },
      )
      const got: string[] = []
      stream.on('data', (text: string) => got.push(text))
      for (let i = 0; i < 20; i++) stream.write(`hello-${i}`)
      stream.end()
      await once(stream, 'end')
      assert.equal(got.length, 20)
      for (const line of got) assert.match(line, /^pong \d{4}-/)
      const unknown = await new Promise<ServiceError | null>((resolve) =>
        client.makeUnaryRequest('/ping.PingService/No', encode, decode, 'x', resolve),
      )
      assert.equal(unknown?.code, 12)
    } finally {
      client.close()
    }
  },
}
