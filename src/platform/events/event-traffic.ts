/**
 * Following and replaying over the API: subresources of Brokers and channels that the event engine answers, under the
 * same roles as the objects themselves (`get` to look, `create` to send again).
 *
 *     GET  …/brokers/NAME/{events,tail,ways,trace,dead-letters,backlog}?selection=JSON   a JSON document a line
 *     POST …/brokers/NAME/{replay,redrive}
 */
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { pipeline } from 'node:stream/promises'
import type { KindDefinition } from '../../kube/api/kind.ts'
import { StatusError } from '../../kube/api/status-error.ts'
import type { AnswerStream } from '../../kube/apiserver/http/http.ts'
import { Streams } from '../../kube/apiserver/http/resource-endpoint.ts'
import { methodNotAllowed } from '../../kube/apiserver/machinery.ts'
import type { Client } from '../../kube/client/client.ts'
import { Broker, classOf } from '../../eventing/api/eventing/broker.ts'
import { Channel } from '../../eventing/api/messaging/channel.ts'
import { acts as acting, looks as looking } from '../../eventing/api/following.ts'
import { InMemoryChannel } from '../../eventing/api/messaging/in-memory-channel.ts'
import { brokerClass, eventingGroup, messagingGroup } from '../../eventing/api/names.ts'
import type { Address } from '../config.ts'
import { readableWays } from './readable-ways.ts'

const looks: ReadonlySet<string> = new Set(looking)
const acts: ReadonlySet<string> = new Set(acting)

interface Connected {
  readonly client: Client
  /** The gateway's listener for names of the cluster. */
  readonly gateway: Address
}

export interface EventTraffic {
  readonly answerStream: AnswerStream
  connect(connected: Connected): void
}

type Call = Parameters<AnswerStream>[0]

export function eventTraffic(socketPath: string): EventTraffic {
  let connected: Connected | undefined
  const tails = new Streams(maxTails)
  const others = new Streams(maxOthers)
  const answer = async (call: Call): Promise<void> => {
    const { path, request } = call
    const expected = looks.has(path.subresource) ? 'GET' : 'POST'
    if (request.method !== expected) throw methodNotAllowed()
    if (!connected) throw starting()
    const uid = await uidOf(call, connected.client)
    const body = expected === 'POST' ? await bodyOf(request, connected.gateway) : undefined
    const { client } = connected
    const only =
      path.subresource === 'trace'
        ? (ways: IncomingMessage) => readableWays(ways, call.user, client)
        : undefined
    const send = () => forward(call, socketPath, { uid, body, only })
    await (path.subresource === 'tail' ? tails : others).run(send, call.user.username)
  }
  return {
    connect: (now) => void (connected = now),
    answerStream(call) {
      const { group, resource, subresource, name } = call.path
      if (name === '' || !isServed(group, resource)) return undefined
      return looks.has(subresource) || acts.has(subresource) ? answer(call) : undefined
    },
  }
}

/** At a time; one user may have four fifths of them. */
const maxTails = 500
/** All else that reads logs or sends again, for as long as that takes: its readers may be slow, its subscribers too. */
const maxOthers = 100

const isServed = (group: string, resource: string): boolean =>
  (group === eventingGroup && resource === 'brokers') ||
  (group === messagingGroup && (resource === 'channels' || resource === 'inmemorychannels'))

const starting = (): StatusError =>
  new StatusError(
    'ServiceUnavailable',
    'the event engine is not reached: it is just being started, or there is nothing for it; try again in a moment',
    { retryAfterSeconds: 1 },
  )

/** Of the log that the object stands for. Throws NotFound. */
async function uidOf({ path }: Call, client: Client): Promise<string> {
  const { namespace, name, resource } = path
  const get = <T extends Broker | InMemoryChannel | Channel>(kind: KindDefinition<T>, of = name) =>
    client.get(kind, { namespace, name: of })
  if (resource === 'brokers') return uidOfServed(await get(Broker))
  if (resource === 'inmemorychannels') return (await get(InMemoryChannel)).metadata.uid ?? ''
  const { status } = await get(Channel)
  const behind = status?.channel
  if (behind?.kind !== 'InMemoryChannel' || !behind.name)
    throw new StatusError(
      'ServiceUnavailable',
      `channel ${name} has no channel behind it yet: see its conditions`,
      { retryAfterSeconds: 1 },
    )
  return (await get(InMemoryChannel, behind.name)).metadata.uid ?? ''
}

function uidOfServed(broker: Broker): string {
  const { name, uid = '' } = broker.metadata
  if (classOf(broker) === brokerClass.multiTenant) return uid
  throw new StatusError(
    'BadRequest',
    `Broker ${name} is of class ${classOf(broker)}, so its events are not here; those of ${brokerClass.multiTenant} are`,
  )
}

const maxBodyBytes = 8 << 20

/** What is asked for; a URL of this cluster is reached through the gateway. */
async function bodyOf(request: IncomingMessage, gateway: Address): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > maxBodyBytes)
      throw new StatusError('RequestEntityTooLarge', `at most ${maxBodyBytes} bytes are taken`)
    chunks.push(chunk)
  }
  const text = Buffer.concat(chunks).toString('utf8') || '{}'
  const asked = parsed(text)
  const to: unknown = asked['to']
  const url: unknown = Object(Object(to)['url'])['url']
  if (typeof url !== 'string') return JSON.stringify(asked)
  const { protocol, hostname } = URL.parse(url) ?? {}
  if (protocol !== 'http:' && protocol !== 'https:')
    throw new StatusError('BadRequest', `to.url.url: ${JSON.stringify(url)} is no URL of HTTP`)
  const isOurs = /\.svc(\.cluster\.local)?$/.test(hostname ?? '')
  return JSON.stringify({ ...asked, to: { url: { url, ...(isOurs && { dial: [gateway] }) } } })
}

function parsed(text: string, what = 'the body'): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  } catch {
    // told below
  }
  throw new StatusError('BadRequest', `${what} is expected to be a JSON object`)
}

interface Asked {
  readonly uid: string
  readonly body: string | undefined
  /** What of the answer is for who asks; all of it unless given. */
  readonly only: ((answer: IncomingMessage) => AsyncIterable<string>) | undefined
}

function forward(
  { path, url, response, signal }: Call,
  socketPath: string,
  { uid, body, only }: Asked,
): Promise<void> {
  const selection = url.searchParams.get('selection')
  if (selection !== null) parsed(selection, 'selection')
  const query = selection === null ? '' : `?selection=${encodeURIComponent(selection)}`
  return new Promise((resolve, reject) => {
    const sending = httpRequest({
      socketPath,
      method: body === undefined ? 'GET' : 'POST',
      path: `/channels/${encodeURIComponent(uid)}/${path.subresource}${query}`,
      signal,
    })
    sending.on('error', () => {
      if (!response.headersSent && !signal.aborted) return reject(starting())
      response.destroy()
      resolve()
    })
    sending.on('response', (answer) => {
      const status = answer.statusCode ?? 500
      if (status !== 200) {
        refuse(answer, status).catch(reject)
        return
      }
      response.writeHead(200, { 'Content-Type': answer.headers['content-type'] ?? 'text/plain' })
      response.flushHeaders()
      answer.on('error', () => response.destroy())
      if (!only) {
        answer.on('close', resolve)
        answer.pipe(response)
        return
      }
      const cut = () => {
        response.destroy()
        resolve()
      }
      pipeline(only(answer), response, { signal }).then(resolve, cut)
    })
    sending.end(body)
  })
}

/** The engine says why in its own words. */
async function refuse(answer: IncomingMessage, status: number): Promise<never> {
  const chunks: Buffer[] = []
  for await (const chunk of answer as AsyncIterable<Buffer>) chunks.push(chunk)
  const said: unknown = parsed(Buffer.concat(chunks).toString('utf8'))['error']
  const message = typeof said === 'string' ? said : `the event engine answered ${status}`
  if (status === 404) throw starting()
  throw new StatusError(status === 400 ? 'BadRequest' : 'InternalError', message)
}
