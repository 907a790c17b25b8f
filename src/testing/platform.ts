/** A Kubernetes API in memory for tests: store, API server, client and informers in this process, without a port. */
import type { Clock } from '../lib/clock.ts'
import { silent, type Log } from '../lib/log.ts'
import { seededRandom, type Random } from '../lib/random.ts'
import type { KindDefinition } from '../kube/api/kind.ts'
import {
  createApiServer,
  type AdmissionPlugin,
  type ApiServer,
} from '../kube/apiserver/api-server.ts'
import { createInformers, type Informers } from '../kube/client/informer.ts'
import { createRecorder, type Recorder } from '../kube/client/recorder.ts'
import { typedClient, type TypedClient } from '../kube/client/typed-client.ts'
import { memoryStore } from '../kube/store/memory-store.ts'
import type { Store } from '../kube/store/store.ts'

export interface InMemoryPlatform extends AsyncDisposable {
  readonly api: ApiServer
  readonly client: TypedClient
  readonly store: Store
  readonly informers: Informers
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly recorder: Recorder
}

export interface InMemoryOptions {
  readonly kinds: readonly KindDefinition[]
  readonly clock: Clock
  readonly random?: Random
  readonly log?: Log
  readonly admission?: readonly AdmissionPlugin[]
}

/** Everything a controller's deps ask for is in it: `startController(reconciler, platform)`. */
export function inMemoryPlatform(options: InMemoryOptions): InMemoryPlatform {
  const { kinds, clock, random = seededRandom(1), log = silent, admission = [] } = options
  const store = memoryStore()
  const api = createApiServer({ store, kinds, clock, random, log, admission })
  const user = { username: 'test', groups: ['system:masters'] }
  const client = typedClient(api, { user, durable: false })
  const informers = createInformers({ client, clock, log })
  const recorder = createRecorder({ client, clock, random, log })
  return {
    api,
    client,
    store,
    informers,
    clock,
    random,
    log,
    recorder,
    async [Symbol.asyncDispose]() {
      await informers[Symbol.asyncDispose]()
      await store[Symbol.asyncDispose]()
    },
  }
}
