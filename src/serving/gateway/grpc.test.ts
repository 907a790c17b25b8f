import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  Client,
  credentials,
  Metadata,
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type ServiceError,
  status,
} from '@grpc/grpc-js'
import { systemClock } from '../../lib/clock.ts'
import type { Backend } from './feed.ts'
import { Fixture, host, signal } from './gateway.fixture.ts'

const text = (value: string): Buffer => Buffer.from(value, 'utf8')
const plain = (bytes: Buffer): string => bytes.toString('utf8')

const method = (path: string, requestStream: boolean, responseStream: boolean) => ({
  path,
  requestStream,
  responseStream,
  requestSerialize: text,
  requestDeserialize: plain,
  responseSerialize: text,
  responseDeserialize: plain,
})

const service = {
  unary: method('/test.Test/Unary', false, false),
  collect: method('/test.Test/Collect', true, false),
  count: method('/test.Test/Count', false, true),
  chat: method('/test.Test/Chat', true, true),
} satisfies ServiceDefinition

interface Heard {
  cancelled: () => void
  called: () => void
}

/** An independent gRPC server. Messages are strings. */
async function startServer(heard: Partial<Heard> = {}) {
  const server = new Server({ 'grpc.max_receive_message_length': -1 })
  server.addService(service, {
    unary(call: ServerUnaryCall<string, string>, done: sendUnaryData<string>) {
      heard.called?.()
      call.on('cancelled', () => heard.cancelled?.())
      const [word, rest = ''] = call.request.split(' ')
      if (word === 'fail') {
        const trailers = new Metadata()
        trailers.set('x-why', rest)
        done({ code: status.NOT_FOUND, details: `no ${rest}`, metadata: trailers })
      } else if (word !== 'hang') {
        const trailers = new Metadata()
        trailers.set('x-host', String(call.getHost()))
        done(null, call.request.toUpperCase(), trailers)
      }
    },
    collect(call: ServerReadableStream<string, string>, done: sendUnaryData<string>) {
      const all: string[] = []
      call.on('data', (piece: string) => all.push(piece))
      call.on('end', () => done(null, all.join('+')))
    },
    count(call: ServerWritableStream<string, string>) {
      call.on('cancelled', () => heard.cancelled?.())
      const last = Number(call.request)
      for (let i = 1; i <= last; i++) call.write(String(i))
      if (last >= 0) call.end()
      else call.write('endless')
    },
    chat(call: ServerDuplexStream<string, string>) {
      call.on('data', (piece: string) => call.write(`you said ${piece}`))
      call.on('end', () => call.end())
    },
  })
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  )
  const backend: Backend = { host: '127.0.0.1', port, pod: 'pod' }
  return {
    backend,
    [Symbol.dispose]: () => server.forceShutdown(),
  }
}

/** An independent gRPC client, through the gateway. */
class Caller extends Client implements Disposable {
  constructor({ gateway }: Fixture) {
    super(`127.0.0.1:${gateway.http.port}`, credentials.createInsecure(), {
      'grpc.default_authority': host,
      'grpc.max_receive_message_length': -1,
      // The gateway's answers are what is looked at, not what the client makes of them.
      'grpc.enable_retries': 0,
    })
  }

  unary(
    request: string,
    deadlineMs?: number,
  ): Promise<{
    answer?: string | undefined
    error?: ServiceError | undefined
    trailers: Metadata
  }> {
    return new Promise((resolve) => {
      let trailers = new Metadata()
      let result: { answer?: string | undefined; error?: ServiceError | undefined } | undefined
      const { path, requestSerialize, responseDeserialize } = service.unary
      const call = this.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        new Metadata(),
        deadlineMs === undefined ? {} : { deadline: systemClock.now() + deadlineMs },
        (error, answer) => {
          result = { answer, error: error ?? undefined }
        },
      )
      call.on('status', (received) => {
        trailers = received.metadata
        setImmediate(() => resolve({ ...result, trailers }))
      })
    })
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

const h2c = (backend: Backend) => ({ protocol: 'h2c' as const, backends: [backend] })

test('unary calls: answers, errors of trailers only, metadata, large messages', async () => {
  using server = await startServer()
  await using gateway = await Fixture.start({ revision: h2c(server.backend) })
  using caller = new Caller(gateway)
  const { answer, trailers } = await caller.unary('hello')
  assert.equal(answer, 'HELLO')
  assert.deepEqual(trailers.get('x-host'), [host])
  const failed = await caller.unary('fail thing')
  assert.equal(failed.error?.code, status.NOT_FOUND)
  assert.equal(failed.error?.details, 'no thing')
  assert.deepEqual(failed.trailers.get('x-why'), ['thing'])
  const large = 'x'.repeat(5_000_000)
  assert.equal((await caller.unary(large)).answer, large.toUpperCase())
})

test('streams: of the client, of the server, of both at once', async () => {
  using server = await startServer()
  await using gateway = await Fixture.start({ revision: h2c(server.backend) })
  using caller = new Caller(gateway)
  const collected = await new Promise<string | undefined>((resolve, reject) => {
    const { path, requestSerialize, responseDeserialize } = service.collect
    const call = caller.makeClientStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      (error, answer) => (error ? reject(error) : resolve(answer)),
    )
    for (const piece of ['a', 'b', 'c']) call.write(piece)
    call.end()
  })
  assert.equal(collected, 'a+b+c')
  const { path, requestSerialize, responseDeserialize } = service.count
  const counted: string[] = []
  const count = caller.makeServerStreamRequest(path, requestSerialize, responseDeserialize, '1000')
  for await (const piece of count) counted.push(String(piece))
  assert.equal(counted.length, 1000)
  assert.equal(counted.at(-1), '1000')
  const chat = caller.makeBidiStreamRequest(
    service.chat.path,
    service.chat.requestSerialize,
    service.chat.responseDeserialize,
  )
  const said: string[] = []
  chat.write('one')
  for await (const piece of chat) {
    said.push(String(piece))
    // The next is said only after the answer: neither direction waits for the other's end.
    if (said.length < 3) chat.write(`word ${said.length}`)
    else chat.end()
  }
  assert.deepEqual(said, ['you said one', 'you said word 1', 'you said word 2'])
})

test("a client's deadline and its cancellation reach the server", async () => {
  let cancelled = signal()
  using server = await startServer({ cancelled: () => cancelled.resolve() })
  await using gateway = await Fixture.start({ revision: h2c(server.backend) })
  using caller = new Caller(gateway)
  assert.equal((await caller.unary('hang', 100)).error?.code, status.DEADLINE_EXCEEDED)
  await cancelled.promise
  cancelled = signal()
  const { path, requestSerialize, responseDeserialize } = service.count
  const call = caller.makeServerStreamRequest(path, requestSerialize, responseDeserialize, '-1')
  const ended = signal<number>()
  call.on('error', (error: ServiceError) => ended.resolve(error.code))
  call.once('data', () => call.cancel())
  assert.equal(await ended.promise, status.CANCELLED)
  await cancelled.promise
})

test("the gateway's own answers are gRPC: timeouts, unknown hosts, pods that die", async () => {
  let called = signal()
  using server = await startServer({ called: () => called.resolve() })
  await using gateway = await Fixture.start({
    revision: { ...h2c(server.backend), timeoutMs: 250 },
  })
  using caller = new Caller(gateway)
  const late = await caller.unary('hang')
  assert.deepEqual(
    [late.error?.code, late.error?.details],
    [status.DEADLINE_EXCEEDED, 'request timeout'],
  )
  gateway.revision({ ...h2c(server.backend) })
  called = signal()
  const dying = caller.unary('hang')
  await called.promise
  server[Symbol.dispose]()
  assert.equal((await dying).error?.code, status.UNAVAILABLE)
  gateway.gateway.receive({ type: 'revision-gone', key: 'ns/rev' })
  gateway.gateway.receive({ type: 'sync', version: 99 })
  assert.equal((await caller.unary('hello')).error?.code, status.UNIMPLEMENTED)
})

test('calls wake a revision and wait for its pod', async () => {
  await using gateway = await Fixture.start({ revision: { protocol: 'h2c' } })
  using caller = new Caller(gateway)
  const answers = ['one', 'two'].map((word) => caller.unary(word))
  await gateway.message((message) => message.type === 'wake')
  using server = await startServer()
  gateway.revision(h2c(server.backend))
  assert.deepEqual(
    (await Promise.all(answers)).map(({ answer }) => answer),
    ['ONE', 'TWO'],
  )
})
