/** What `ebb event` asks the API server for beside objects: the subresources of Brokers and channels, line by line. */
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import type { HttpApiOptions } from '../../kube/client/node/http-api.ts'
import { readKubeconfig } from '../../kube/client/node/kubeconfig.ts'
import { pathOf } from '../../kube/client/node/http-api.ts'
import type { ReplayProgress, ReplayResult } from '../../eventing/broker/following/replay.ts'
import type { Selection } from '../../eventing/broker/following/selection.ts'
import { eventingGroup, messagingGroup } from '../../eventing/api/names.ts'

/** Nobody answers at the moment, or no longer: the event engine or the API server is being started again. */
export class Unreached extends Error {
  override readonly name = 'Unreached'
}

/** This one can't be looked at; others can. */
export class OutOfOrder extends Error {
  override readonly name = 'OutOfOrder'
}

/** There is no such Broker or channel. */
export class Missing extends Error {
  override readonly name = 'Missing'
}

/** The API server itself is not there. */
export class ApiAway extends Error {
  override readonly name = 'ApiAway'
}

/** A Broker or a channel. */
export interface Inlet {
  readonly resource: 'brokers' | 'channels' | 'inmemorychannels'
  readonly namespace: string
  readonly name: string
}

export interface EventApi {
  /** Documents of a subresource, as they come. Throws what the server says. */
  lines<T>(
    of: Inlet,
    subresource: 'events' | 'tail' | 'ways' | 'trace' | 'dead-letters' | 'backlog',
    selection?: Selection,
  ): AsyncIterable<T>
  post<T>(of: Inlet, subresource: 'replay' | 'redrive', body: object): Promise<T>
  /** Sends again what was counted, and tells how far it is. Rejects when `signal` is aborted. */
  send(
    of: Inlet,
    subresource: 'replay' | 'redrive',
    body: object,
    options: { readonly signal: AbortSignal; readonly progress: (soFar: ReplayProgress) => void },
  ): Promise<ReplayResult>
}

export async function eventApi(kubeconfigPath: string): Promise<EventApi> {
  const { api } = await readKubeconfig(kubeconfigPath)
  async function* linesIn<T>(answer: IncomingMessage): AsyncGenerator<T> {
    const lines = createInterface({ input: answer, crlfDelay: Infinity })
    try {
      for await (const line of lines) if (line !== '') yield JSON.parse(line) as T
    } catch (error) {
      throw cutShort(error)
    }
    if (!answer.complete) throw cutShort(undefined)
  }
  return {
    async *lines<T>(of: Inlet, subresource: string, selection: Selection = {}) {
      const query = `?selection=${encodeURIComponent(JSON.stringify(selection))}`
      const answer = await patiently(() => ask(api, 'GET', `${path(of, subresource)}${query}`))
      yield* linesIn<T>(answer)
    },
    async post<T>(of: Inlet, subresource: string, body: object) {
      const send = () => ask(api, 'POST', path(of, subresource), JSON.stringify(body))
      // What may have been sent is not sent twice; a count comes before, and waits.
      const isCount = 'dryRun' in body && body.dryRun === true
      const answer = await (isCount ? patiently(send) : send())
      return JSON.parse(await text(answer)) as T
    },
    async send(of, subresource, body, { signal, progress }) {
      const asked = JSON.stringify({ ...body, progress: true })
      const answer = await ask(api, 'POST', path(of, subresource), asked, signal)
      for await (const line of linesIn<ReplayProgress | ReplayResult>(answer)) {
        if ('selected' in line) return line
        progress(line)
      }
      throw cutShort(undefined)
    },
  }
}

const cutShort = (cause: unknown): Unreached =>
  new Unreached(
    'the answer was cut short, as the event engine or the API server ended: try again in a moment',
    { cause },
  )

/** Between two tries. */
const waitMs = 500
/** An engine that was killed is back much sooner. */
const tries = 20

/** Waits for an event engine that is just being started. */
async function patiently<T>(run: () => Promise<T>): Promise<T> {
  for (let tried = 1; ; tried++) {
    try {
      return await run()
    } catch (error) {
      if (!(error instanceof Unreached) || tried === tries) throw error
      await sleep(waitMs)
    }
  }
}

const path = ({ resource, namespace, name }: Inlet, subresource: string): string =>
  pathOf({
    verb: 'get',
    group: resource === 'brokers' ? eventingGroup : messagingGroup,
    version: 'v1',
    resource,
    namespace,
    name,
    subresource,
    options: {},
    user: { username: '', groups: [] },
    durable: true,
  })

function ask(
  api: HttpApiOptions,
  method: string,
  target: string,
  body?: string,
  signal?: AbortSignal,
): Promise<IncomingMessage> {
  const { ca, cert, key, token, tlsServerName, insecureSkipTlsVerify } = api
  const base = new URL(api.server)
  const secure = base.protocol === 'https:'
  return new Promise((resolve, reject) => {
    const asking = (secure ? httpsRequest : httpRequest)({
      host: base.hostname.replace(/^\[|\]$/g, ''),
      port: base.port || (secure ? 443 : 80),
      method,
      path: `${base.pathname.replace(/\/$/, '')}${target}`,
      agent: false,
      ...(signal && { signal }),
      headers: {
        'user-agent': 'ebb',
        ...(token && { authorization: `Bearer ${token}` }),
        ...(body !== undefined && {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
        }),
      },
      ...(ca && { ca }),
      ...(cert && { cert }),
      ...(key && { key }),
      ...(tlsServerName && { servername: tlsServerName }),
      ...(insecureSkipTlsVerify && { rejectUnauthorized: false }),
    })
    asking.on('error', (error) =>
      reject(
        new ApiAway(
          `the API server ${api.server} is not reached (${error.message}): is \`ebb up\` running?`,
        ),
      ),
    )
    asking.on('response', (answer) => {
      if (answer.statusCode === 200) return resolve(answer)
      const { statusCode } = answer
      const Refused = refusals[statusCode ?? 0] ?? Error
      text(answer).then((said) => reject(new Refused(messageIn(said, statusCode))), reject)
    })
    asking.end(body)
  })
}

const refusals: Readonly<Record<number, new (message: string) => Error>> = {
  404: Missing,
  500: OutOfOrder,
  503: Unreached,
}

function messageIn(said: string, status = 0): string {
  try {
    const { message } = Object(JSON.parse(said)) as { readonly message?: unknown }
    if (typeof message === 'string') return message
  } catch {
    // no Status: told below
  }
  return `the API server answered ${status}`
}
