/** Starts the controllers of routing rules. */
import { startController, type ControllerDeps } from '../../kube/controller/loop.ts'
import type { GatewayLink } from '../../serving/controllers/ingress/feed-client.ts'
import { gatewayClassReconciler, gatewayReconciler } from './gateway.ts'
import { httpRouteReconciler } from './http-route.ts'
import type { SharedHosts } from './shared-hosts.ts'
import { virtualServiceReconciler } from './virtual-service.ts'

export interface RoutingDeps extends ControllerDeps {
  readonly hosts: SharedHosts
  readonly link: Pick<GatewayLink, 'acknowledged' | 'onAcknowledged'>
  /** The address at which the gateway is reached. */
  readonly gatewayAddress: string
}

export function startRoutingControllers(deps: RoutingDeps): AsyncDisposable {
  const { hosts, link, gatewayAddress } = deps
  const started = new AsyncDisposableStack()
  started.use(startController(gatewayClassReconciler, deps))
  started.use(startController(gatewayReconciler(hosts, gatewayAddress), deps))
  started.use(startController(httpRouteReconciler(hosts, link), deps))
  started.use(startController(virtualServiceReconciler(hosts, link), deps))
  return started
}
