/**
 * All of Kubernetes' own controllers that one machine needs; on a cluster they are not started, because the cluster has
 * its own.
 */
import type { Kind } from '../api/kind.ts'
import type { TypedClient } from '../client/typed-client.ts'
import { startController, type ControllerDeps } from '../controller/loop.ts'
import { deployment } from './deployment/deployment.ts'
import { startEndpoints } from './endpoints/endpoints.ts'
import { startEventExpiry } from './event-expiry.ts'
import { startGarbageCollector } from './garbage-collector.ts'
import { kubernetesService, type ApiAddress } from './kubernetes-service.ts'
import { accountFiles } from './account-files.ts'
import { startNamespaceController } from './namespace.ts'
import { replicaSet } from './replica-set.ts'
import { startScheduler } from './scheduler.ts'
import { servedKinds } from './served-kinds.ts'
import { startStorage } from './storage/storage.ts'
import { startWorkloads } from './workloads.ts'

export interface KubeControllersDeps extends ControllerDeps {
  readonly client: TypedClient
  /** All kinds the API server stores: garbage collection and namespace deletion look at each of them. */
  readonly kinds: readonly Kind[]
  /** Where the API server is reached; absent = it is not told to anyone. */
  readonly apiAddress?: ApiAddress
  /** PEM text of the certificate that pods check the API server by; absent = what a namespace began with stays. */
  readonly rootCA?: string
  /** Where volumes of claims are made; absent = nobody binds claims. */
  readonly volumesFolder?: string
}

/** Starts them; they begin once the caches are filled. */
export function startKubeControllers(deps: KubeControllersDeps): AsyncDisposable {
  const started = new AsyncDisposableStack()
  // First, because a request may wait for what it hears of a pod.
  started.use(startEndpoints(deps))
  started.use(startController(deployment, deps))
  started.use(startController(replicaSet(deps.random), deps))
  started.use(startScheduler(deps))
  const kinds = started.use(servedKinds(deps.kinds, deps.informers))
  started.use(startGarbageCollector({ ...deps, kinds }))
  started.use(startNamespaceController({ ...deps, kinds }))
  started.use(startEventExpiry(deps))
  started.use(startWorkloads(deps))
  if (deps.rootCA !== undefined) started.use(startController(accountFiles(deps.rootCA), deps))
  if (deps.volumesFolder) started.use(startStorage({ ...deps, folder: deps.volumesFolder }))
  if (deps.apiAddress) started.use(startController(kubernetesService(deps.apiAddress), deps))
  return started
}
