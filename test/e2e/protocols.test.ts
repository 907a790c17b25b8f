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
import { Client, credentials, type ServiceError } from '@grpc/grpc-js'
import { WebSocket } from 'ws'
import { bookDir, hurry, startEbb, until, withoutKubectl, type Ebb } from './platform.ts'

const registry = 'registry.cn-hangzhou.aliyuncs.com/knative-sample'
const domain = 'default.knative.kuberun.com'

/** A message with one string, field 1, shorter than 128 bytes. */
const encode = (text: string): Buffer =>
  Buffer.concat([Buffer.from([10, Buffer.byteLength(text)]), Buffer.from(text)])
const decode = (bytes: Buffer): string => bytes.toString('utf8', 2)

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
    for (const [folder, name] of [
      ['14-websocket-chat', 'websocket-chat'],
      ['15-grpc-ping', 'grpc-ping'],
    ] as const) {
      await ebb.ok('apply', '-f', join(bookDir, folder, 'service.yaml'))
      await ebb.ok('wait', `ksvc/${name}`, '--for=condition=Ready', '--timeout=30s')
    }
  })
  after(() => ebb[Symbol.asyncDispose]())

  test('15: gRPC ping and ping stream over cleartext HTTP/2, the first call at zero', async () => {
    await atZero('grpc-ping')
    const client = new Client(url(), credentials.createInsecure(), {
      'grpc.default_authority': `grpc-ping.${domain}:80`,
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
  })

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

  test('14: two windows of the chat, the first opened at zero; an open one keeps the pod', async () => {
    await atZero('websocket-chat')
    const host = `websocket-chat.${domain}`
    const open = async (origin: string): Promise<WebSocket> => {
      const socket = new WebSocket(`ws://${url()}/ws`, { headers: { Host: host, Origin: origin } })
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
      assert.equal(await podsOf('websocket-chat'), 1)
      return performance.now() > stay
    })
    const again = once(one, 'message') as Promise<[Buffer]>
    one.send('still there')
    assert.equal((await again)[0].toString(), 'still there')
    one.close()
    await atZero('websocket-chat')
  })

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
      await ebb.ok('wait', `ksvc/${name}`, '--for=condition=Ready', '--timeout=30s')
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
