/** All of Kubernetes' own controllers that one machine needs. Signature first. */
import type { Kind } from '../api/kind.ts'
import type { TypedClient } from '../client/typed-client.ts'
import type { ControllerDeps } from '../controller/loop.ts'

export interface KubeControllersDeps extends ControllerDeps {
  readonly client: TypedClient
  /** All kinds the API server stores: garbage collection and namespace deletion look at each of them. */
  readonly kinds: readonly Kind[]
}

export declare function startKubeControllers(deps: KubeControllersDeps): AsyncDisposable
