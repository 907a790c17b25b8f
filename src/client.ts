/**
 * Door of the package, `ebb/client`: a typed client of any Kubernetes API, informers with their listers, and an event
 * recorder. `connect` finds the server as kubectl does.
 */
export type { Client } from './kube/client/client.ts'
export { typedClient, type ClientOptions, type TypedClient } from './kube/client/typed-client.ts'
export {
  createInformers,
  type Informer,
  type Informers,
  type InformersOptions,
} from './kube/client/informer.ts'
export { createRecorder, type Recorder, type RecorderOptions } from './kube/client/recorder.ts'
export { connect, type Connection, type ConnectOptions } from './kube/client/node/connection.ts'
export { httpApi, type HttpApiOptions } from './kube/client/node/http-api.ts'
export { inClusterConfig } from './kube/client/node/in-cluster.ts'
export { readKubeconfig, type Kubeconfig } from './kube/client/node/kubeconfig.ts'
export { rfc3339, sleep, systemClock, type Clock } from './lib/clock.ts'
export { jsonLog, silent, type Facts, type Log, type LogLevel } from './lib/log.ts'
export { seededRandom, systemRandom, type Random } from './lib/random.ts'
