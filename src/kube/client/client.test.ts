/** The client contract, in process and over HTTP and HTTPS. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock } from '../../lib/clock.ts'
import { silent } from '../../lib/log.ts'
import { seededRandom } from '../../lib/random.ts'
import { coreKinds } from '../api/kinds.ts'
import type { Api, ApiRequest } from '../api/protocol.ts'
import { hasReason } from '../api/status-error.ts'
import { createApiServer } from '../apiserver/api-server.ts'
import { serveHttp } from '../apiserver/http/http.ts'
import { ensureCertificates } from '../../platform/access/certificates.ts'
import { memoryStore } from '../store/memory-store.ts'
import { clientContract, type Subject } from './client.contract.ts'
import { httpApi } from './node/http-api.ts'
import { typedClient } from './typed-client.ts'

const user = { username: 'test', groups: ['system:masters'] }

/** History so short that revision 1 is forgotten: the contract asks for it. */
const newServer = () =>
  createApiServer({
    store: memoryStore({ historyLimit: 8 }),
    kinds: coreKinds,
    clock: systemClock,
    random: seededRandom(1),
    log: silent,
  })

function subject(api: Api, stack: AsyncDisposableStack): Subject {
  const client = typedClient(api, { user, durable: true })
  const request: Omit<ApiRequest, 'body'> = {
    verb: 'create',
    group: '',
    version: 'v1',
    resource: 'configmaps',
    namespace: 'default',
    options: { fieldValidation: 'Warn' },
    user,
    durable: false,
  }
  return {
    client,
    raw: (body) => api.handle({ ...request, body }),
    [Symbol.asyncDispose]: () => stack[Symbol.asyncDispose](),
  }
}

clientContract('in process', async () => subject(newServer(), new AsyncDisposableStack()))

const directory = await mkdtemp(join(tmpdir(), 'ebb-client-'))
const certificates = await ensureCertificates(directory, { hosts: [], ips: [], clock: systemClock })
await rm(directory, { recursive: true })
const { ca, serverCert, serverKey, adminCert, adminKey } = certificates

clientContract('over HTTPS', async () => {
  const stack = new AsyncDisposableStack()
  const server = stack.use(
    await serveHttp({
      api: newServer(),
      host: '127.0.0.1',
      port: 0,
      tls: { key: serverKey, cert: serverCert, ca },
      log: silent,
      clock: systemClock,
    }),
  )
  const api = stack.use(httpApi({ server: server.url, ca, cert: adminCert, key: adminKey }))
  return subject(api, stack)
})

test('a server that is not there is ServiceUnavailable, and says which', async () => {
  await using api = httpApi({ server: 'http://127.0.0.1:1' })
  const client = typedClient(api, { user, durable: false })
  const [Namespace] = coreKinds.filter(({ kind }) => kind === 'Namespace')
  assert.ok(Namespace)
  await assert.rejects(client.list(Namespace, ''), (error) => {
    assert.ok(hasReason(error, 'ServiceUnavailable'))
    assert.match(String(error), /can't reach the API server at http:\/\/127.0.0.1:1/)
    return true
  })
})
