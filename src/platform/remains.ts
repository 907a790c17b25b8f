/** What a control plane that was killed leaves behind: ends gateway, launcher and pods without starting a platform. */
import type { Layout } from './config.ts'
import { stopGateway } from './gateway-process.ts'

/** False when nothing of this data directory ran. */
export async function stopRemains(layout: Layout): Promise<boolean> {
  const { stopLauncher } = await import('../kube/kubelet/launcher/launcher-client.ts')
  const found = await Promise.all([
    stopGateway(layout.gatewaySocket, 5_000),
    stopLauncher(layout.launcherSocket),
  ])
  return found.includes(true)
}
