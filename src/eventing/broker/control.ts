/**
 * The engine's back door, HTTP on a unix socket that only its owner can open: the control plane tells it what holds and
 * asks what people want to know. Answers are JSON; lists are a JSON document a line, as they may be long.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { Clock } from '../../lib/clock.ts'
import type { Channel } from './channel.ts'
import type { Engine } from './engine.ts'
import { backlogOf } from './following/backlog.ts'
import type {
  ChannelTypes,
  EngineConfig,
  EngineReport,
  LostEvents,
  SendingToken,
  ServerCertificate,
} from './feed.ts'
import {
  discard,
  redrive,
  replay,
  subscriptionOf,
  type AgainDeps,
  type ReplayProgress,
  type ReplayResult,
} from './following/replay.ts'
import { follow, seen, select, type Selection } from './following/selection.ts'
import {
  redriveIn,
  replayIn,
  RequestError,
  selectionIn,
  tailIn,
  type RedriveRequest,
} from './following/requests.ts'
import { trace, ways } from './following/ways.ts'
import { LineWriter } from './following/line-writer.ts'
import type { Step } from './following/journal.ts'
import type { JournalFile } from './following/journal-file.ts'
import type { Sender } from './delivery/sender.ts'

export interface ControlDeps {
  readonly engine: Engine
  /** Takes a configuration; resolves when it holds. */
  readonly apply: (config: EngineConfig) => Promise<EngineReport>
  /** What events are sent with from now on; absent = nobody asks who sends. */
  readonly takeTokens?: (tokens: readonly SendingToken[]) => void
  /** What TLS is served with from now on; answers the port. */
  readonly takeCertificates?: (
    certificates: readonly ServerCertificate[],
  ) => Promise<number | undefined>
  /** Events of sources that were lost since it was called last. */
  readonly takeLost?: () => readonly LostEvents[]
  readonly journal: JournalFile
  readonly sender: Sender
  readonly clock: Clock
  /** What `GET /` answers besides the pid: where events come in. */
  readonly address: () => { readonly host: string; readonly port: number }
  /** Is to end. */
  readonly stop: () => void
}

const maxBodyBytes = 64 << 20

export function control(deps: ControlDeps): RequestListener {
  const writer = new LineWriter()
  return (request, response) => {
    answer(request, response, deps, writer).catch((error: unknown) => {
      if (response.headersSent) return response.destroy()
      const asked =
        error instanceof RequestError || error instanceof RangeError || error instanceof SyntaxError
      const status = error instanceof Refusal ? error.status : asked ? 400 : 500
      send(response, status, { error: error instanceof Error ? error.message : 'unknown' })
    })
  }
}

class Refusal extends Error {
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  deps: ControlDeps,
  writer: LineWriter,
): Promise<void> {
  const { engine, sender, clock } = deps
  const url = new URL(request.url ?? '/', 'http://engine')
  const gone = new AbortController()
  response.on('close', () => gone.abort())
  const route = `${request.method} ${url.pathname.replace(/^\/channels\/[^/]+/, '/channels/UID')}`
  switch (route) {
    case 'GET /':
      return send(response, 200, { pid: process.pid, ...deps.address() })
    case 'PUT /config':
      return send(response, 200, await deps.apply(await body<EngineConfig>(request)))
    case 'PUT /tokens':
      deps.takeTokens?.(await body<readonly SendingToken[]>(request))
      return send(response, 200, {})
    case 'PUT /certificates': {
      const given = await body<readonly ServerCertificate[]>(request)
      return send(response, 200, { port: await deps.takeCertificates?.(given) })
    }
    case 'GET /stats':
      return send(response, 200, engine.stats)
    case 'GET /types':
      return send(response, 200, engine.channels.map(typesOf))
    case 'GET /warnings':
      return send(response, 200, engine.warnings)
    case 'GET /lost':
      return send(response, 200, deps.takeLost?.() ?? [])
    case 'POST /stop':
      send(response, 200, {})
      return deps.stop()
    default:
  }
  const uid = decodeURIComponent(url.pathname.split('/')[2] ?? '')
  const channel = engine.channel(uid)
  const problem = engine.problemOf(uid)
  if (problem) throw new Refusal(500, problem.message)
  if (!channel) throw new Refusal(404, `there is no channel ${uid} here`)
  const signal = gone.signal
  const lines = (values: AsyncIterable<unknown>) => {
    response.writeHead(200, { 'Content-Type': 'application/x-ndjson' })
    response.flushHeaders()
    return writer.write(response, values, signal)
  }
  const isThere = () => engine.channel(uid) === channel
  const again = { sender, clock, signal, journal: (step: Step) => deps.journal.note(step) }
  switch (route) {
    case 'GET /channels/UID/events':
      return await lines(shown(select(channel, selectionOf(url))))
    case 'GET /channels/UID/tail':
      return await lines(
        shown(follow(channel, tailIn(selectionOf(url)), { clock, signal, isThere })),
      )
    case 'GET /channels/UID/ways':
      return await lines(ways(channel, selectionOf(url), deps.journal))
    case 'GET /channels/UID/trace':
      return await lines(trace(engine, channel, selectionOf(url), deps.journal))
    case 'GET /channels/UID/dead-letters':
      return await lines(letters(channel))
    case 'GET /channels/UID/backlog':
      return send(response, 200, await backlogOf(channel))
    case 'POST /channels/UID/replay': {
      const { selection, to, dryRun, progress } = replayIn(await body(request))
      return await result(response, progress, (more) =>
        replay(channel, selection, to, { ...again, ...more, dryRun }),
      )
    }
    case 'POST /channels/UID/redrive': {
      const asked = redriveIn(await body(request))
      return await result(response, asked.progress, (more) =>
        redriven(channel, asked, { ...again, ...more }),
      )
    }
    default:
      throw new Refusal(404, `${route} is not known here`)
  }
}

function typesOf({ config, types }: Channel): ChannelTypes {
  const { kind, namespace, name } = config
  return { kind, namespace, name, types: types.list() }
}

async function redriven(
  channel: Channel,
  { numbers, subscription, dryRun, discard: letGo }: RedriveRequest,
  deps: Omit<AgainDeps, 'dryRun'>,
) {
  const meant = numbers && new Set(numbers)
  const wanted = (letter: { readonly number: number; readonly subscription: string }) =>
    (meant?.has(letter.number) ?? true) &&
    (subscription === undefined ||
      subscription === letter.subscription ||
      subscription === nameOf(channel, letter.subscription))
  const result =
    letGo && !dryRun
      ? await discard(channel, wanted, deps)
      : await redrive(channel, wanted, { ...deps, dryRun })
  // One that is gone may have left some; a name that nobody has is a mistake.
  if (subscription !== undefined && result.selected === 0) subscriptionOf(channel, subscription)
  return result
}

function selectionOf({ searchParams }: URL): Selection {
  const text = searchParams.get('selection')
  return text === null ? {} : selectionIn(JSON.parse(text))
}

async function* shown(found: ReturnType<typeof select>) {
  for await (const { logged, stored } of found) yield seen(logged, stored)
}

/** Undefined when it is gone. */
const nameOf = (channel: Channel, subscription: string): string | undefined =>
  channel.dispatchers.find(({ config }) => config.uid === subscription)?.config.name

async function* letters(channel: Channel) {
  for await (const { stored, number, sequence, ...letter } of channel.deadLetters.list()) {
    const logged = { sequence, timeMs: letter.atMs, payload: new Uint8Array() }
    const name = nameOf(channel, letter.subscription)
    yield { ...letter, ...(name !== undefined && { name }), number, ...seen(logged, stored) }
  }
}

/** In one piece, or behind lines that say how far it is; who reads slowly is spared some of them. */
async function result(
  response: ServerResponse,
  asksProgress: boolean,
  run: (more: Pick<AgainDeps, 'progress'>) => Promise<ReplayResult>,
): Promise<void> {
  if (!asksProgress) return send(response, 200, await run({}))
  const line = (value: object) => `${JSON.stringify(value)}\n`
  const progress = (soFar: ReplayProgress) => {
    // What is asked for wrongly is refused before the first of them.
    if (!response.headersSent) response.writeHead(200, { 'Content-Type': 'application/x-ndjson' })
    if (!response.destroyed && !response.writableNeedDrain) response.write(line(soFar))
  }
  const found = await run({ progress })
  if (!response.headersSent) response.writeHead(200, { 'Content-Type': 'application/x-ndjson' })
  response.end(line(found))
}

function send(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'Content-Type': 'application/json' })
  response.end(JSON.stringify(value))
}

async function body<T = unknown>(request: IncomingMessage): Promise<T> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > maxBodyBytes) throw new Refusal(413, `at most ${maxBodyBytes} bytes are taken`)
    chunks.push(chunk)
  }
  return JSON.parse(Buffer.concat(chunks).toString('utf8')) as T
}
