/**
 * Knative Eventing as one started part: the event engine's process, the controllers that tell it what holds, and the
 * names under which it is reached.
 */
import type { ControllerDeps } from '../kube/controller/loop.ts'
import { startEventingControllers } from '../eventing/controllers/controllers.ts'
import { installEventing } from '../eventing/controllers/install.ts'
import type { Address, Layout } from './config.ts'
import type { EventHosts } from './event-hosts.ts'
import { forkEventEngine, stopEventEngine } from './event-engine-process.ts'

export interface EventingOptions extends ControllerDeps {
  readonly layout: Layout
  /** The gateway's listener for names of the cluster. */
  readonly gatewayLocal: Address
  readonly hosts: EventHosts
}

/** Resolves when controllers are started; the engine's process comes with the first Broker or channel. */
export async function startEventing(options: EventingOptions): Promise<AsyncDisposable> {
  const { layout, gatewayLocal, hosts, client, log } = options
  await installEventing(client)
  const controllers = await startEventingControllers({
    ...options,
    engineSocket: layout.eventSocket,
    startEngine: () => forkEventEngine(layout, log),
    gateway: () => gatewayLocal,
    onTold: (config, engine) => hosts.lead(config, engine),
  })
  return {
    async [Symbol.asyncDispose]() {
      await controllers[Symbol.asyncDispose]()
      await stopEventEngine(layout.eventSocket)
    },
  }
}
