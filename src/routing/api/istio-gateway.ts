/**
 * Gateway of Istio (networking.istio.io): kept so that VirtualServices may name it. There is one entrance here; hosts and
 * ports of its servers have no effect.
 */
import { ageColumn } from '../../kube/api/columns.ts'
import type { KindDefinition, ServedVersion } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { anything, list, map, object, string, type Static } from '../../kube/api/schema.ts'
import { istioGroup } from './virtual-service-spec.ts'

const spec = object({ selector: map(string()), servers: list(anything()) })

export interface IstioGateway extends KubeObject {
  readonly spec: Static<typeof spec>
}

const schema = object({ spec })

const sameIn = (version: string): ServedVersion => ({
  version,
  schema,
  toStorage: (stored) => ({ ...stored, apiVersion: `${istioGroup}/v1` }),
  fromStorage: (stored) => ({ ...stored, apiVersion: `${istioGroup}/${version}` }),
})

export const IstioGateway: KindDefinition<IstioGateway> = {
  group: istioGroup,
  version: 'v1',
  kind: 'Gateway',
  plural: 'gateways',
  singular: 'gateway',
  shortNames: ['gw'],
  categories: ['istio-io', 'networking-istio-io'],
  namespaced: true,
  flavour: 'custom',
  hasStatus: false,
  hasGeneration: true,
  description: 'An entrance that VirtualServices may name. All entrances are the one gateway.',
  admit(gateway, context) {
    if (context.subresource === '')
      context.warn('spec.servers is stored and has no effect: there is one gateway, for all hosts')
    return gateway
  },
  schema,
  versions: [sameIn('v1beta1'), sameIn('v1alpha3')],
  columns: [ageColumn],
}
