/**
 * Walk-throughs 14 (WebSocket chat) and 15 (gRPC ping) of the book with their manifests unchanged, and HTTP/2 on the
 * platform's one port. Each service is woken from zero. Clients: ws, grpc-js, node:http2.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect } from 'node:http2'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { Client, credentials } from '@grpc/grpc-js'
import { WebSocket } from 'ws'
import { hurry, startEbb, until, withoutKubectl, type Ebb } from './platform.ts'
import { decode, encode, grpcPing, websocketChat } from './walkthroughs/streams.ts'

const registry = 'registry.cn-hangzhou.aliyuncs.com/knative-sample'
const domain = 'default.knative.kuberun.com'

describe('protocols', { skip: withoutKubectl }, () => {
  let ebb: Ebb
  const podsOf = async (name: string): Promise<number> =>
    (await ebb.ok('get', 'pods', '-l', `serving.knative.dev/service=${name}`, '--no-headers'))
      .split('\n')
      .filter((line) => / Running /.test(line)).length
  const atZero = (name: string) =>
    until(`${name} is at zero`, async () => (await podsOf(name)) === 0, 40_000)
  const url = () => `127.0.0.1:${ebb.gateway.port}`

  before(async () => {
    ebb = await startEbb({ args: ['--domain', 'knative.kuberun.com'] })
    await hurry(ebb)
    await Promise.all([
      ebb.build('websocket-chat', `${registry}/websocket-chat:2019-10-15`),
      ebb.build('grpc-ping', `${registry}/grpc-ping-go:2019-10-15`),
    ])
  })
  after(() => ebb[Symbol.asyncDispose]())

  test(`15: ${grpcPing.title}`, () => grpcPing.walk(ebb, 'knative.kuberun.com'))

  test('gRPC through TLS: the own authority, ALPN, a large message, a stream', async () => {
    const { gatewayTls, localCA } = JSON.parse(
      await readFile(join(ebb.dataDir, 'endpoints.json'), 'utf8'),
    ) as { gatewayTls: string; localCA: string }
    const authority = `grpc-ping.${domain}`
    const client = new Client(
      new URL(gatewayTls).host,
      credentials.createSsl(await readFile(localCA)),
      { 'grpc.ssl_target_name_override': authority, 'grpc.default_authority': authority },
    )
    const deadline = new Date(new Date().getTime() + 30_000)
    try {
      const answer = await new Promise<Buffer | undefined>((resolve, reject) =>
        client.makeUnaryRequest(
          '/ping.PingService/Ping',
          (text: string) => {
            // A field of 2 MiB: its length takes four bytes.
            const [a, b, c, d] = [0, 7, 14, 21].map((bits) => (text.length >> bits) & 127)
            const size = [a ?? 0, b ?? 0, c ?? 0].map((bits) => bits | 128)
            return Buffer.concat([Buffer.from([10, ...size, d ?? 0]), Buffer.from(text)])
          },
          (bytes) => bytes,
          'x'.repeat(2 << 20),
          { deadline },
          (error, value) => (error ? reject(error) : resolve(value)),
        ),
      )
      assert.ok((answer?.length ?? 0) > 2 << 20)
      assert.match(answer?.toString('latin1', answer.length - 10) ?? '', /x - pong$/)
      const stream = client.makeBidiStreamRequest<string, string>(
        '/ping.PingService/PingStream',
        encode,
        decode,
        { deadline },
      )
      let got = 0
      stream.on('data', () => void got++)
      for (let i = 0; i < 20; i++) stream.write(`hello-${i}`)
      stream.end()
      await once(stream, 'end')
      assert.equal(got, 20)
    } finally {
      client.close()
    }
  })

  test(`14: ${websocketChat.title}`, () => websocketChat.walk(ebb, 'knative.kuberun.com'))

  test('an upgraded connection ends with timeoutSeconds, unless its revision or the cluster frees it', async () => {
    const chat = async (name: string, annotations: string): Promise<void> => {
      const manifest = `apiVersion: serving.knative.dev/v1
kind: Service
metadata: { name: ${name} }
spec:
  template:
    metadata: { annotations: { ${annotations} } }
    spec:
      timeoutSeconds: 2
      containers: [{ image: '${registry}/websocket-chat:2019-10-15' }]
`
      await ebb.ok('apply', '-f', await ebb.file(`${name}.yaml`, manifest))
    }
    await chat('chat-limited', '')
    await chat('chat-free', 'ebb.dev/long-lived-streams: "true"')
    const open = async (name: string): Promise<{ socket: WebSocket; closedMs: () => number }> => {
      await ebb.ok('wait', `ksvc/${name}`, '--for=condition=Ready', '--timeout=55s')
      const host = `${name}.${domain}`
      const socket = new WebSocket(`ws://${url()}/ws`, {
        headers: { Host: host, Origin: `http://${host}` },
      })
      socket.on('error', () => {})
      let closedMs = 0
      await once(socket, 'open')
      const openedMs = performance.now()
      socket.on('close', () => (closedMs = performance.now() - openedMs))
      return { socket, closedMs: () => closedMs }
    }
    const [limited, free] = await Promise.all([open('chat-limited'), open('chat-free')])
    await until('the limited one is closed', async () => limited.closedMs() > 0, 10_000)
    assert.ok(limited.closedMs() > 1000 && limited.closedMs() < 4000, `${limited.closedMs()} ms`)
    // Now for all that do not say otherwise.
    await ebb.ok(
      'patch',
      'configmap',
      'config-defaults',
      '-n',
      'knative-serving',
      '--type=merge',
      '-p',
      '{"data":{"long-lived-streams":"true"}}',
    )
    await until(
      'the setting has come to the gateway',
      async () => {
        const { socket, closedMs } = await open('chat-limited')
        const startMs = performance.now()
        while (closedMs() === 0 && performance.now() - startMs < 3500)
          await new Promise((resolve) => setImmediate(resolve))
        socket.close()
        return closedMs() === 0
      },
      20_000,
    )
    assert.equal(free.closedMs(), 0)
    const heard = once(free.socket, 'message') as Promise<[Buffer]>
    free.socket.send('still there')
    assert.equal((await heard)[0].toString(), 'still there')
    free.socket.close()
  })

  test('HTTP/2 by prior knowledge reaches http1 services too, also at zero', async () => {
    await atZero('websocket-chat')
    const session = connect(`http://${url()}`)
    const stream = session.request({ ':authority': `websocket-chat.${domain}`, ':path': '/' })
    stream.setEncoding('utf8')
    const [headers] = (await once(stream, 'response')) as [Record<string, unknown>]
    assert.equal(headers[':status'], 200)
    let body = ''
    for await (const text of stream) body += String(text)
    assert.match(body, /Send/)
    session.close()
  })
})
