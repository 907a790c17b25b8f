/**
 * The process of the event engine: `node main.ts --socket PATH --directory DIR --host H --port P`. It goes on without a
 * control plane, by what it was told last; started anew it is told again.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import { chmod, mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { systemClock as clock } from '../../lib/clock.ts'
import { bufferedServer } from '../../lib/http1/buffered-server.ts'
import { jsonLog } from '../../lib/log.ts'
import { systemRandom } from '../../lib/random.ts'
import { Pings } from '../sources/ping/pings.ts'
import { RequestReplies } from '../sources/request-reply/request-replies.ts'
import { Transforms } from '../sources/transform/transforms.ts'
import { createGuards } from './authorization/guard.ts'
import { SendingTokens } from './authorization/sending-tokens.ts'
import { control } from './control.ts'
import { lockDirectory } from './directory-lock.ts'
import { Engine } from './engine.ts'
import type { EngineConfig, EngineReport } from './feed.ts'
import { JournalFile } from './following/journal-file.ts'
import { SecureIngress } from './ingress/secure-ingress.ts'
import { createSender } from './delivery/sender.ts'
import { EventSpans } from './following/spans.ts'

const { values } = parseArgs({
  options: {
    socket: { type: 'string' },
    directory: { type: 'string' },
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '0' },
    // For tests of crashes: files of the log follow one another sooner.
    'segment-bytes': { type: 'string' },
  },
})
const { socket, directory, host, port } = values
if (socket === undefined || directory === undefined)
  throw new Error('--socket PATH and --directory DIR are needed')

/** Of one event, all included. */
const maxEventBytes = 16 << 20

await mkdir(directory, { recursive: true, mode: 0o700 })
const log = jsonLog(
  (line) => process.stderr.write(line),
  'info',
  () => clock.now(),
)
const held = (await lockDirectory(directory)) ?? endAsSecond()
function endAsSecond(): never {
  log.error('another event engine has this directory: this one ends', { directory })
  process.exit(0)
}
const tokens = new SendingTokens()
let trusted: string | undefined
const guards = createGuards(clock)
const sender = createSender({
  clock,
  authorization: (to) => tokens.for(to),
  trusted: () => trusted,
})
const journal = new JournalFile({ path: join(directory, 'journal'), clock })
const spans = new EventSpans({ clock, log, write: (line) => process.stdout.write(line) })
const engine = new Engine({
  directory: join(directory, 'channels'),
  clock,
  log,
  sender,
  journal: (step) => journal.note(step),
  guards,
  spans,
  ...(values['segment-bytes'] !== undefined && { segmentBytes: Number(values['segment-bytes']) }),
})
const pings = new Pings({ clock, random: systemRandom, log, sender, newId: randomUUID })
const transforms = new Transforms({ clock, sender, guards })
const requestReplies = new RequestReplies({ clock, sender, randomBytes })
/** All parts of a configuration hold when it resolves. */
async function apply(config: EngineConfig): Promise<EngineReport> {
  guards.trust(config.issuer)
  trusted = config.trusted
  const broken = await engine.apply(config)
  requestReplies.apply(config.requestReplies ?? [], config.requestReplyHosts ?? [])
  const [ticking, transforming] = await Promise.all([
    pings.apply(config.pings ?? []),
    transforms.apply(config.transforms ?? []),
  ])
  return { problems: { ...broken, ...ticking, ...transforming } }
}
const ingress = bufferedServer({
  clock,
  handle: (request) =>
    transforms.handle(request) ?? requestReplies.handle(request) ?? engine.handle(request),
  maxBodyBytes: maxEventBytes,
  onFault: (error) => log.error('a request could not be answered', { error }),
})
await new Promise<void>((resolve, reject) => {
  ingress.once('error', reject)
  ingress.listen(Number(port), host, resolve)
})
const address = () => {
  const at = ingress.address()
  return typeof at === 'object' && at ? { host: at.address, port: at.port } : { host, port: 0 }
}

const secure = new SecureIngress({
  host,
  accept: (socket) => void ingress.emit('connection', socket),
  onProblem: (hosts, reason) =>
    log.error('a server certificate can not be used', { hosts: hosts.join(', '), reason }),
})
const answer = control({
  engine,
  apply,
  takeCertificates: (given) => secure.apply(given),
  takeTokens: (given) => tokens.replace(given),
  takeLost: () => pings.takeLost(),
  journal,
  sender,
  clock,
  address,
  stop: () => void stop(),
})
let heardMs = clock.monotonic()
const door = createServer((request, response) => {
  heardMs = clock.monotonic()
  answer(request, response)
})
await rm(socket, { force: true })
await new Promise<void>((resolve) => door.listen(socket, resolve))
await chmod(socket, 0o600)
log.info('the event engine listens', { ...address(), socket })

/** A control plane asks every few seconds; without one the engine goes on for so long. */
const orphanedAfterMs = 600_000
const lookEveryMs = 30_000
function look(): void {
  if (clock.monotonic() - heardMs > orphanedAfterMs) void stop()
  else clock.after(lookEveryMs, look)
}
look()

let stopping: Promise<void> | undefined
function stop(): Promise<void> {
  return (stopping ??= (async () => {
    ingress.close()
    secure[Symbol.dispose]()
    pings[Symbol.dispose]()
    requestReplies[Symbol.dispose]()
    await transforms[Symbol.asyncDispose]()
    await engine[Symbol.asyncDispose]()
    await spans[Symbol.asyncDispose]()
    await journal.flush()
    // Before whoever asked hears that it is done, and starts the next one.
    await held[Symbol.asyncDispose]()
    door.closeAllConnections()
    process.exit(0)
  })())
}
process.on('SIGTERM', () => void stop())
process.on('SIGINT', () => void stop())
