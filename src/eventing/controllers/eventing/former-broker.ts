/**
 * What Brokers of 2019 had and tutorials of then use: an address of their own, `<broker>-broker.<namespace>`, and a
 * channel template in their own spec, which is a ConfigMap now.
 */
import { yamlText } from '../../../lib/yaml.ts'
import { ConfigMap } from '../../../kube/api/config-map.ts'
import { controllerOf, type KubeObject } from '../../../kube/api/meta.ts'
import { Service as CoreService } from '../../../kube/api/service.ts'
import type { Apply, Reader } from '../../../kube/controller/reconciler.ts'
import { Broker } from '../../api/eventing/broker.ts'
import { templateKey } from '../../api/config/br-channel.ts'
import { legacyConfigName, legacyTemplate } from '../../api/conversion/broker.ts'
import { annotation, brokerIngressHost, clusterDomain, hostNames, label } from '../../api/names.ts'
import { ownedMetadata } from '../flows/flow-objects.ts'

export const formerServiceName = (broker: string): string => `${broker}-broker`

/** Hosts under which such a Broker is found at `/`. */
export function formerHosts(namespace: string, broker: string): readonly string[] {
  return hostNames(`${formerServiceName(broker)}.${namespace}.svc.${clusterDomain}`)
}

/** Brokers that are made by old manifests, by injection, or have the name that tutorials use. */
const wasFormer = (broker: Broker): boolean =>
  broker.metadata.name === 'default' ||
  broker.metadata.labels?.[label.injected] === 'true' ||
  broker.metadata.annotations?.[annotation.legacyAddress] === 'true' ||
  legacyTemplate(broker) !== undefined

export function formerObjects(broker: Broker): readonly Apply[] {
  const { name } = broker.metadata
  const owner = { kind: Broker, object: broker }
  const template = legacyTemplate(broker)
  const isOurs = (existing: KubeObject) => controllerOf(existing)?.uid === broker.metadata.uid
  const config = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: ownedMetadata(owner, legacyConfigName(name)),
    data: { [templateKey]: yamlText(template) },
  }
  const service: CoreService = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      ...ownedMetadata(owner, formerServiceName(name)),
      labels: { [label.broker]: name, [label.role]: 'broker' },
    },
    spec: {
      type: 'ExternalName',
      externalName: brokerIngressHost,
      ports: [{ name: 'http', port: 80, protocol: 'TCP', targetPort: 80 }],
    },
  }
  const applyConfig: Apply = {
    kind: ConfigMap,
    desired: config,
    // Somebody else's of this name is left alone.
    merge: (existing) => (isOurs(existing) ? withData(existing, config.data) : existing),
  }
  const applyService: Apply = { kind: CoreService, desired: service, merge: (existing) => existing }
  return [...(template ? [applyConfig] : []), ...(wasFormer(broker) ? [applyService] : [])]
}

/** The Service of that address is the Broker's and nobody else's. */
export function hasFormerAddress(
  namespace: string,
  broker: string,
  read: Pick<Reader, 'get'>,
): boolean {
  const service = read.get(CoreService, { namespace, name: formerServiceName(broker) })
  return service?.metadata.labels?.[label.role] === 'broker'
}

const withData = (config: ConfigMap, data: ConfigMap['data']): ConfigMap => ({
  ...config,
  ...(data && { data }),
})
