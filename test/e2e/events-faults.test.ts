/**
 * The process of the event engine on disks that are full or can't be written, beside subscribers that are gone, hang or
 * fail, and killed in the middle: what it acknowledged arrives, what it can't keep it does not acknowledge, and it comes
 * back by itself.
 */
import assert from 'node:assert/strict'
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, createServer, request, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type {
  DeliveryPolicy,
  EngineConfig,
  SubscriptionConfig,
  SubscriptionStats,
} from '../../src/eventing/broker/feed.ts'
import { until } from './platform.ts'

const agent = new Agent({ keepAlive: true, maxSockets: 16 })

const main = join(import.meta.dirname, '..', '..', 'src', 'eventing', 'broker', 'main.ts')

interface Running {
  readonly process: ChildProcess
  readonly socketPath: string
  readonly port: number
}

async function start(directory: string, config: EngineConfig): Promise<Running> {
  const socketPath = join(directory, 'socket')
  const flags = [`--socket=${socketPath}`, `--directory=${join(directory, 'events')}`]
  const child = spawn(process.execPath, [main, ...flags], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => (said += chunk))
  await until('the engine listens', () => {
    if (child.exitCode !== null) throw new Error(`the engine ended: ${said}`)
    return said.includes('listens')
  })
  await ask(socketPath, 'PUT', '/config', config)
  const { port } = (await ask(socketPath, 'GET', '/')) as { readonly port: number }
  return { process: child, socketPath, port }
}

function ask(socketPath: string, method: string, path: string, body?: unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const asking = request({ socketPath, method, path }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
      response.on('end', () => resolve(JSON.parse(text)))
    })
    asking.on('error', reject)
    asking.end(body === undefined ? undefined : JSON.stringify(body))
  })
}

async function kill({ process }: Running): Promise<void> {
  const ended = once(process, 'exit')
  process.kill('SIGKILL')
  await ended
}

/** A subscriber: is told the id of each event, and answers what it is told to. */
async function listen(
  handle: (id: string, answer: (status: number | 'hang up') => void) => void,
): Promise<Server> {
  const server = createServer((incoming, response) => {
    incoming.resume()
    incoming.on('end', () =>
      handle(String(incoming.headers['ce-id']), (status) => {
        if (status === 'hang up') incoming.socket.destroy()
        else response.writeHead(status).end()
      }),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

const urlOf = (server: Server): string =>
  `http://127.0.0.1:${(server.address() as AddressInfo).port}/`

interface Posted {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

function post(
  { port }: Running,
  body: string | Buffer,
  headers: Readonly<Record<string, string>>,
): Promise<Posted> {
  return new Promise((resolve, reject) => {
    const sending = request(
      { host: '127.0.0.1', port, agent, method: 'POST', path: '/default/b', headers },
      (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
        const { statusCode = 0 } = response
        response.on('end', () =>
          resolve({ status: statusCode, headers: response.headers, body: text }),
        )
      },
    )
    sending.on('error', reject)
    sending.end(body)
  })
}

const send = (engine: Running, id: string, size = 0) =>
  post(engine, 'x'.repeat(size), {
    'ce-specversion': '1.0',
    'ce-id': id,
    'ce-source': '/faults',
    'ce-type': 'test',
    'content-type': 'text/plain',
  })

/** Events in one request: `from` to `from + count - 1` are their ids. */
function sendBatch(engine: Running, from: number, count: number): Promise<Posted> {
  const events = Array.from({ length: count }, (_, i) => ({
    specversion: '1.0',
    id: String(from + i),
    source: '/faults',
    type: 'test',
    data: 'x'.repeat(200),
  }))
  return post(engine, JSON.stringify(events), {
    'content-type': 'application/cloudevents-batch+json',
  })
}

const subscription = (
  name: string,
  url: string,
  delivery: DeliveryPolicy = { retry: 0 },
): SubscriptionConfig => ({
  uid: name,
  kind: 'Trigger',
  namespace: 'default',
  name,
  subscriber: { url },
  reply: 'channel',
  delivery,
})

const configOf = (...subscriptions: readonly SubscriptionConfig[]): EngineConfig => ({
  brokerHosts: ['127.0.0.1'],
  channels: [{ uid: 'faults', kind: 'Broker', namespace: 'default', name: 'b', subscriptions }],
})

const statsOf = async (engine: Running, uid: string): Promise<SubscriptionStats> => {
  const all = (await ask(engine.socketPath, 'GET', '/stats')) as readonly SubscriptionStats[]
  const found = all.find((each) => each.uid === uid)
  assert.ok(found)
  return found
}

/** What is on the disk of subscriptions' places. */
function placesIn(directory: string): readonly string[] {
  const folder = join(directory, 'events', 'channels', 'faults', 'events', 'cursors')
  return readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'))
}

/** Mebibytes that the process has in memory. */
const residentOf = ({ process: { pid } }: Running): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024

const mounts = (): boolean => {
  const at = mkdtempSync(join(tmpdir(), 'ebb-mount-'))
  const done = spawnSync('mount', ['-t', 'tmpfs', 'tmpfs', at]).status === 0
  if (done) spawnSync('umount', [at])
  rmSync(at, { recursive: true })
  return done
}

describe('the event engine when things go wrong', () => {
  const taken = new Map<string, number>()
  /** What the subscriber does: a status, or nothing at all. */
  let mood: number | 'hang up' | 'silent' = 200
  let server: Server
  const running: Running[] = []
  const folders: string[] = []
  const folder = () => {
    folders.push(mkdtempSync(join(tmpdir(), 'ebb-events-faults-')))
    return folders.at(-1) ?? ''
  }
  const begin = async (directory: string, config: EngineConfig): Promise<Running> => {
    const engine = await start(directory, config)
    running.push(engine)
    return engine
  }
  before(async () => {
    server = await listen((id, answer) => {
      if (mood === 'silent') return
      if (mood === 200) taken.set(id, (taken.get(id) ?? 0) + 1)
      answer(mood)
    })
  })
  after(() => {
    for (const { process } of running) process.kill('SIGKILL')
    agent.destroy()
    server.closeAllConnections()
    server.close()
    for (const each of folders.toReversed()) {
      spawnSync('umount', ['-l', each])
      rmSync(each, { recursive: true, force: true })
    }
  })

  test(
    'a full disk: 503 with Retry-After, deliveries go on, and it goes on by itself when there is room',
    { skip: !mounts() && 'a small disk takes the right to mount' },
    async () => {
      taken.clear()
      mood = 'hang up'
      const directory = folder()
      assert.equal(
        spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', directory]).status,
        0,
      )
      const backoff = { policy: 'exponential', delayMs: 50 } as const
      const config = configOf(subscription('t', urlOf(server), { retry: 1000, backoff }))
      let engine = await begin(directory, config)
      writeFileSync(join(directory, 'filler'), Buffer.alloc(2 << 20))
      const kept: string[] = []
      let refused: Posted | undefined
      for (let i = 0; !refused; i++) {
        const answer = await send(engine, `full-${i}`, 20_000)
        if (answer.status === 202) kept.push(`full-${i}`)
        else refused = answer
      }
      assert.equal(refused.status, 503, refused.body)
      assert.match(refused.headers['retry-after'] ?? '', /^\d+$/)
      assert.match(refused.body, /ENOSPC/)
      assert.ok(kept.length > 10)
      // Those it has reach their subscriber, though nothing can be written.
      mood = 200
      await until('all that was kept is delivered', () => kept.every((id) => taken.has(id)))
      await until('its place is on the disk', () =>
        placesIn(directory).some((text) => text.includes(`"floor":${kept.length + 1},`)),
      )
      await kill(engine)
      const times = new Map(taken)
      engine = await begin(directory, config)
      assert.equal((await statsOf(engine, 't')).backlog, 0)
      assert.deepEqual(taken, times, 'nothing is seen again: its place was saved on the full disk')
      rmSync(join(directory, 'filler'))
      await until('there is room', async () => (await send(engine, 'after')).status === 202)
      await until('the next one is delivered', () => taken.has('after'))
    },
  )

  test(
    'a disk that can only be read: 503 with Retry-After, and it goes on when it can be written again',
    { skip: !mounts() && 'a small disk takes the right to mount' },
    async () => {
      taken.clear()
      mood = 503
      const directory = folder()
      const disk = join(directory, 'events')
      mkdirSync(disk)
      folders.push(disk)
      const mount = (...args: readonly string[]) =>
        assert.equal(spawnSync('mount', [...args, disk]).status, 0)
      mount('-t', 'tmpfs', 'tmpfs')
      const backoff = { policy: 'linear', delayMs: 50 } as const
      const config = configOf(subscription('t', urlOf(server), { retry: 1000, backoff }))
      let engine = await begin(directory, config)
      assert.equal((await send(engine, 'before')).status, 202)
      await kill(engine)
      mount('-o', 'remount,ro')
      engine = await begin(directory, config)
      const refused = await send(engine, 'refused')
      assert.equal(refused.status, 503, refused.body)
      assert.match(refused.headers['retry-after'] ?? '', /^\d+$/)
      assert.match(refused.body, /EROFS/)
      mount('-o', 'remount,rw')
      mood = 200
      // As the control plane does every two seconds.
      assert.deepEqual(await ask(engine.socketPath, 'PUT', '/config', config), { problems: {} })
      assert.equal((await send(engine, 'again')).status, 202)
      await until('both are delivered', () => taken.has('before') && taken.has('again'))
    },
  )

  test('a subscriber that is gone while events pile up costs no memory, and gets all of them, also after a crash', async () => {
    taken.clear()
    mood = 503
    const directory = folder()
    const backoff = { policy: 'linear', delayMs: 200 } as const
    const config = configOf(
      subscription('t', urlOf(server), { retry: 100_000, backoff, retryAfterMaxMs: 1 }),
    )
    let engine = await begin(directory, config)
    const batch = 1000
    const batches = 30
    let atFirst = 0
    for (let i = 0; i < batches; i++) {
      assert.equal((await sendBatch(engine, i * batch, batch)).status, 202)
      if (i === 9) atFirst = residentOf(engine)
    }
    const grown = residentOf(engine) - atFirst
    assert.ok(grown < 150, `20,000 events more took ${grown} MiB`)
    const { backlog, deferred } = await statsOf(engine, 't')
    assert.equal(backlog, batch * batches)
    assert.ok(deferred <= 10_000)
    await kill(engine)
    mood = 200
    engine = await begin(directory, config)
    await until(
      'all are delivered',
      async () => taken.size === batch * batches && (await statsOf(engine, 't')).backlog === 0,
      120_000,
    )
  })

  test('subscribers that hang or fail hold up themselves alone', async () => {
    taken.clear()
    mood = 'silent'
    const well = await listen((id, answer) => {
      taken.set(id, (taken.get(id) ?? 0) + 1)
      answer(204)
    })
    try {
      const engine = await begin(
        folder(),
        configOf(
          subscription('hangs', urlOf(server), { retry: 0, timeoutMs: 300_000 }),
          subscription('refuses', 'http://127.0.0.1:1/', { retry: 0 }),
          subscription('nowhere', 'http://no.such.host.invalid/', { retry: 1 }),
          subscription('well', urlOf(well)),
        ),
      )
      for (let i = 0; i < 300; i++) assert.equal((await send(engine, `${i}`)).status, 202)
      await until('the one that works has all', () => taken.size === 300)
      await until('what was refused is kept', async () => {
        const { backlog, deadLettered } = await statsOf(engine, 'refuses')
        return backlog === 0 && deadLettered === 300
      })
      assert.ok((await statsOf(engine, 'hangs')).backlog === 300)
    } finally {
      well.closeAllConnections()
      well.close()
    }
  })
})
