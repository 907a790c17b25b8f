/** The API server over HTTP in this process, for those who ask it many things quickly: one user, who may do everything. */
import { Agent, request, type IncomingMessage } from 'node:http'
import type { KindDefinition } from '../kube/api/kind.ts'
import { createApiServer, type ApiServer } from '../kube/apiserver/api-server.ts'
import { authenticator, serveHttp } from '../kube/apiserver/http/http.ts'
import type { Store } from '../kube/store/store.ts'
import { systemClock } from '../lib/clock.ts'
import { silent } from '../lib/log.ts'
import { systemRandom } from '../lib/random.ts'

export interface Asked {
  readonly method: string
  /** With its query. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Buffer | undefined
  readonly signal?: AbortSignal
  /** On a connection of its own, as for a watch. Default false. */
  readonly alone?: boolean
}

export interface ServedApi extends AsyncDisposable {
  readonly api: ApiServer
  /** Sends a request; resolves with the head of the answer, whatever its status. */
  open(asked: Asked): Promise<IncomingMessage>
}

export async function servedApi(
  store: Store,
  kinds: readonly KindDefinition[],
  maxConnections = Infinity,
): Promise<ServedApi> {
  const api = createApiServer({
    store,
    kinds,
    clock: systemClock,
    random: systemRandom,
    log: silent,
  })
  const http = await serveHttp({
    api,
    host: '127.0.0.1',
    port: 0,
    log: silent,
    clock: systemClock,
    authenticate: authenticator({
      tokens: new Map([['root', { username: 'admin', groups: ['system:masters'] }]]),
    }),
  })
  const agent = new Agent({ keepAlive: true, maxSockets: maxConnections })
  return {
    api,
    open: ({ method, path, headers, body, signal, alone = false }) =>
      new Promise((resolve, reject) => {
        const sent = request(`${http.url}${path}`, {
          method,
          agent: alone ? false : agent,
          ...(signal && { signal }),
          headers: {
            ...headers,
            authorization: 'Bearer root',
            ...(body && { 'content-length': String(body.length) }),
          },
        })
        sent.on('response', resolve).on('error', reject)
        sent.end(body)
      }),
    async [Symbol.asyncDispose]() {
      agent.destroy()
      await http[Symbol.asyncDispose]()
      api[Symbol.dispose]()
    },
  }
}
