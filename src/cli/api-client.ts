/** A client of the platform that a kubeconfig file names. */
import { httpApi } from '../kube/client/node/http-api.ts'
import { readKubeconfig } from '../kube/client/node/kubeconfig.ts'
import { typedClient, type TypedClient } from '../kube/client/typed-client.ts'

export interface ConnectedClient extends AsyncDisposable {
  readonly client: TypedClient
  /** Of the kubeconfig's context; `default` when it names none. */
  readonly namespace: string
}

export async function clientOf(kubeconfigPath: string): Promise<ConnectedClient> {
  const { api: options, namespace } = await readKubeconfig(kubeconfigPath)
  const api = httpApi({ ...options, userAgent: 'ebb' })
  return {
    client: typedClient(api, { user: { username: '', groups: [] }, durable: true }),
    namespace,
    [Symbol.asyncDispose]: () => api[Symbol.asyncDispose](),
  }
}
