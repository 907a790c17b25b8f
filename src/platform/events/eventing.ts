/**
 * Knative Eventing as one started part: the event engine's process, the controllers that tell it what holds, and the
 * names under which it is reached.
 */
import type { UserInfo } from '../../kube/api/kind.ts'
import type { Client } from '../../kube/client/client.ts'
import type { ControllerDeps } from '../../kube/controller/loop.ts'
import { bufferedServer } from '../../lib/http1/buffered-server.ts'
import { jobSinkHost } from '../../eventing/api/job-sink.ts'
import { startEventingControllers } from '../../eventing/controllers/controllers.ts'
import { installEventing } from '../../eventing/controllers/install.ts'
import type { Address, Layout } from '../config.ts'
import type { EventHosts } from './event-hosts.ts'
import { forkEventEngine, stopEventEngine } from './event-engine-process.ts'

export interface EventingOptions extends ControllerDeps {
  readonly layout: Layout
  /** The gateway's listener for names of the cluster. */
  readonly gatewayLocal: Address
  readonly hosts: EventHosts
  /** Requests come from this user; `durable` ones are answered when they are on disk. */
  readonly clientAs: (user: UserInfo, durable?: boolean) => Client
}

/** Resolves when controllers are started; the engine's process comes with the first Broker or channel. */
export async function startEventing(options: EventingOptions): Promise<AsyncDisposable> {
  const { layout, gatewayLocal, hosts, client, log } = options
  await installEventing(client)
  const jobSink = await startJobSink(options)
  hosts.leadHost(jobSinkHost, jobSink.address)
  const controllers = await startEventingControllers({
    ...options,
    engineSocket: layout.eventSocket,
    startEngine: () => forkEventEngine(layout, log),
    gateway: () => gatewayLocal,
    jobSink: () => jobSink.address,
    onTold: (config, engine) => hosts.lead(config, engine),
  })
  return {
    async [Symbol.asyncDispose]() {
      await controllers[Symbol.asyncDispose]()
      await jobSink[Symbol.asyncDispose]()
      await stopEventEngine(layout.eventSocket)
    },
  }
}

/** Who makes the Jobs of JobSinks. */
const jobSinkUser: UserInfo = {
  username: 'system:serviceaccount:knative-eventing:job-sink',
  groups: ['system:masters', 'system:authenticated'],
}

/** A Secret holds no more. */
const maxJobEventBytes = 1 << 20

interface RunningJobSink extends AsyncDisposable {
  readonly address: Address
}

/** The endpoint of all JobSinks, on this machine's loopback; its code is loaded by the first event. */
async function startJobSink({ clientAs, clock }: EventingOptions): Promise<RunningJobSink> {
  const server = bufferedServer({
    clock,
    maxBodyBytes: maxJobEventBytes,
    handle: async (request) => {
      const { jobSinkHandler } = await import('../../eventing/sources/job-sink/endpoint.ts')
      return await jobSinkHandler(clientAs(jobSinkUser, true))(request)
    },
  })
  const host = '127.0.0.1'
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, host, resolve)
  })
  server.unref()
  const at = server.address()
  return {
    address: { host, port: typeof at === 'object' && at ? at.port : 0 },
    async [Symbol.asyncDispose]() {
      server.close()
    },
  }
}
