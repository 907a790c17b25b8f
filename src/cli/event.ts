/** `ebb event`: sends events, shows where they went and why, and sends them again. */
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { Broker } from '../eventing/api/eventing/broker.ts'
import { Channel } from '../eventing/api/messaging/channel.ts'
import { InMemoryChannel } from '../eventing/api/messaging/in-memory-channel.ts'
import type { ObjectKey } from '../kube/api/meta.ts'
import { ServiceAccount } from '../kube/api/service-account.ts'
import { UsageError, type Command, type Flag } from './command.ts'
import { deadLetters, replay } from './event-again.ts'
import { list, show, tail, trace } from './event-look.ts'
import { sendEvent, type Post } from './event-send.ts'
import { noMore, oneInlet, openSession, type Session } from './event-session.ts'
import { eventVerbs } from './event-verbs.ts'

type Run = (session: Session, rest: readonly string[]) => Promise<number>

const runs: Readonly<Record<keyof typeof eventVerbs, Run>> = {
  send,
  tail,
  list,
  show,
  trace,
  replay,
  'dead-letters': deadLetters,
}

const isVerb = (name: string): name is keyof typeof eventVerbs => Object.hasOwn(eventVerbs, name)
const names = Object.keys(eventVerbs).join(', ')

export const event: Command = {
  name: 'event',
  usage: 'send | tail | list | show ID | trace ID | replay | dead-letters [redrive | discard] [N…]',
  summary: 'Events: send them, see where each went and why, send them again',
  details:
    'Without --broker or --channel, all of the namespace is looked at, and the only Broker there is meant.',
  verbs: eventVerbs,
  flags: Object.assign(
    {},
    ...Object.values(eventVerbs).map(({ flags }): Readonly<Record<string, Flag>> => flags),
  ),
  positionals: [0, 1000],
  async run(args, out) {
    const [name, ...rest] = args.positionals
    if (name === undefined) throw new UsageError(`what is to be done? There are ${names}`)
    if (!isVerb(name)) throw new UsageError(`expected ${names}; found "${name}"`)
    await using session = await openSession(args, out)
    return await runs[name](session, rest)
  },
}

async function send(session: Session, rest: readonly string[]): Promise<number> {
  noMore(rest)
  const { args, out } = session
  const to = args.string('to')
  await sendEvent(
    args,
    to === undefined ? await postTo(session) : await postToUrl(session, to),
    out,
  )
  return 0
}

/** The gateway's listener for names of the cluster leads there from this machine. */
async function postTo(session: Session): Promise<Post> {
  const inlet = await oneInlet(session)
  const kinds = { brokers: Broker, channels: Channel, inmemorychannels: InMemoryChannel }
  const kind = kinds[inlet.resource] as typeof Broker
  let url = ''
  let audience: string | undefined
  // What was made a moment ago has its address a moment later.
  for (let tried = 1; url === ''; tried++) {
    const { status } = await session.client.get<Broker | Channel | InMemoryChannel>(kind, inlet)
    url = status?.address?.url ?? ''
    audience = status?.address?.audience
    if (url === '' && tried === addressTries)
      throw new Error(`${inlet.name} has no address yet: see its conditions (kubectl describe)`)
    if (url === '') await sleep(addressEveryMs)
  }
  const account = session.args.string('account')
  const token =
    account !== undefined && audience !== undefined
      ? await tokenOf(session, { namespace: inlet.namespace, name: account }, audience)
      : undefined
  return {
    url,
    dial: await localGateway(session, url),
    ...(token === undefined
      ? { whenAsked: `give --account NAME, a ServiceAccount of namespace ${inlet.namespace}` }
      : { token }),
  }
}

/** As `kubectl create token NAME --audience AUDIENCE`. */
async function tokenOf(session: Session, key: ObjectKey, audience: string): Promise<string> {
  const answer = (await session.client.subresource('create', ServiceAccount, key, 'token', {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: { audiences: [audience] },
  })) as { readonly status?: { readonly token?: string } }
  if (!answer.status?.token) throw new Error(`the API server gave no token of ${key.name}`)
  return answer.status.token
}

const addressTries = 20
const addressEveryMs = 250

/** Names of the cluster, and those below localhost, are not known to every resolver. */
async function postToUrl(session: Session, url: string): Promise<Post> {
  const { hostname = '', port = '', protocol = '' } = URL.parse(url) ?? {}
  if (/\.svc(\.cluster\.local)?$/.test(hostname))
    return { url, dial: await localGateway(session, url) }
  return hostname.endsWith('.localhost')
    ? { url, dial: { host: '127.0.0.1', port: Number(port || (protocol === 'https:' ? 443 : 80)) } }
    : { url }
}

/** It serves plainly. */
async function localGateway(session: Session, url: string): Promise<NonNullable<Post['dial']>> {
  if (url.startsWith('https:'))
    throw new Error(
      `${url} is served over TLS, to pods alone, and this command speaks plainly: send from a pod, or set transport-encryption in config-features of knative-eventing to permissive`,
    )
  const { gatewayLocal = '' } = JSON.parse(await endpointsOf(session)) as {
    readonly gatewayLocal?: string
  }
  const { hostname, port } = URL.parse(gatewayLocal) ?? {}
  if (!hostname)
    throw new Error(
      `${session.layout.endpoints} names no listener of the gateway for names of the cluster: is \`ebb up\` running?`,
    )
  return { host: hostname, port: Number(port) }
}

async function endpointsOf({ layout: { endpoints } }: Session): Promise<string> {
  return await readFile(endpoints, 'utf8').catch((error: unknown) => {
    throw new Error(
      `${endpoints} does not say where the gateway listens: give the --data-dir of the platform, or --to URL`,
      { cause: error },
    )
  })
}
