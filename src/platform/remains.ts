/** What a control plane that was killed leaves behind: ends gateway, launcher and pods without starting a platform. */
import { readdir, rm, rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { processRuntime } from '../kube/kubelet/process/process-runtime.ts'
import { unmountBelow } from '../kube/kubelet/volumes/memory-volume.ts'
import { systemClock } from '../lib/clock.ts'
import { silent } from '../lib/log.ts'
import type { ToLauncher } from '../kube/kubelet/launcher/protocol.ts'
import type { Layout } from './config.ts'
import { removeDockerRemains } from './images/container-runtime.ts'
import { stopEventEngine } from './events/event-engine-process.ts'
import { stopGateway } from './gateway/gateway-process.ts'
import { sayAndSeeOff } from './unix-peer.ts'

/** How long gateway and pods may take to finish. */
const graceMs = 5_000

/** False when nothing of this data directory ran. */
export async function stopRemains(layout: Layout): Promise<boolean> {
  await unmountBelow(join(layout.dataDir, 'pods'))
  const gateway = await stopGateway(layout.gatewaySocket, graceMs)
  const events = await stopEventEngine(layout.eventSocket)
  const launcher = await stopLauncher(layout)
  const containers = await removeDockerRemains(layout, systemClock)
  await rm(layout.controlSocket, { force: true })
  await removeSocketFolder(layout)
  return gateway || events || launcher || containers
}

/** Ends a launcher and its pods. False when there were none. */
export async function stopLauncher(layout: Layout): Promise<boolean> {
  const stop: ToLauncher = { id: 1, op: 'stop', graceMs }
  return (await sayAndSeeOff(layout.launcherSocket, stop)) || (await stopOrphans(layout))
}

/** Pods whose launcher was killed too: another one takes them over to end them, and their networks with them. */
async function stopOrphans({ dataDir, launcherSocket }: Layout): Promise<boolean> {
  const records = await readdir(join(dataDir, 'run', 'pods')).catch(() => [])
  if (records.length === 0) return false
  const runtime = await processRuntime({
    dataDir,
    socketPath: launcherSocket,
    network: 'auto',
    clock: systemClock,
    log: silent,
  })
  await runtime[Symbol.asyncDispose]()
  return true
}

/** Sockets of a data directory with a long path lie in the temp folder: nothing is left there. */
export async function removeSocketFolder({ controlSocket, dataDir }: Layout): Promise<void> {
  const folder = dirname(controlSocket)
  if (!folder.startsWith(dataDir)) await rmdir(folder).catch(() => {}) // in use, or gone
}
