/**
 * Hosts of core Services whose port 80 is another one of their pods (80 to 8080 in nearly every sample): a pod that is
 * told `http://display.default.svc.cluster.local` calls port 80, where no pod listens, and there is no ClusterIP to change
 * it. So these names lead pods to the gateway (platform/gateway/names-for-pods.ts), and the gateway to the ready pods.
 */
import { keyOf, keyText } from '../../../kube/api/meta.ts'
import { Service as CoreService } from '../../../kube/api/service.ts'
import type { FeedSource } from './feed-client.ts'
import { createFacts, type FeedPart } from './feed-part.ts'
import { clusterHost, serviceMeaning } from './service-target.ts'
import type { ServiceTargets } from './service-targets.ts'

const httpPort = 80
/** Whoever else claims such a host (a VirtualService of the mesh) goes before. */
const youngest = '9999-12-31T23:59:59Z'

/** True for a Service that pods reach at port 80 only by way of the gateway. */
export function needsGateway(service: CoreService): boolean {
  const { selector, clusterIP, type, ports = [] } = service.spec
  const web = ports.find(({ port, protocol = 'TCP' }) => port === httpPort && protocol === 'TCP')
  const isOrdinary = selector !== undefined && clusterIP !== 'None' && type !== 'ExternalName'
  const leadsToPods = isOrdinary && 'service' in (serviceMeaning(service, httpPort) ?? {})
  return leadsToPods && (web?.targetPort ?? httpPort) !== httpPort
}

/** Follows all core Services; `targets` is told which of them are to have their pods told. */
export function createServiceHosts(
  source: FeedSource,
  targets: Pick<ServiceTargets, 'name'>,
): FeedPart & Disposable {
  const facts = createFacts()
  const told = new Set<string>()
  const changed = (object: CoreService) => {
    const key = keyOf(object)
    const by = `~service/${keyText(key)}`
    const service = source.read.get(CoreService, key)
    if (service && needsGateway(service)) {
      const target = `${keyText(key)}:${httpPort}`
      const host = clusterHost(key.namespace, key.name)
      const hosts = [host, host.replace(/\.cluster\.local$/, ''), `${key.name}.${key.namespace}`]
      const paths = [{ splits: [{ service: target, percent: 100 }] }]
      told.add(by)
      targets.name(by, [target])
      facts.tell({
        type: 'ingress',
        ingress: {
          key: by,
          hash: '',
          createdAt: youngest,
          rules: [{ hosts, visibility: 'ClusterLocal', paths }],
        },
      })
    } else if (told.delete(by)) {
      targets.name(by, [])
      facts.tell({ type: 'ingress-gone', key: by })
    }
  }
  const cancel = source.onChange(CoreService, (object) => changed(object as CoreService))
  void source.synced().then(() => {
    for (const service of source.read.list(CoreService, '')) changed(service)
    facts.complete()
  })
  return { ...facts, [Symbol.dispose]: () => cancel() }
}
