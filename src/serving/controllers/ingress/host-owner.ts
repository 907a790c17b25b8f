/** Who a host belongs to: what its KIngress was made for, in words. */
import type { Ingress } from '../../api/ingress.ts'
import { label } from '../../api/names.ts'

/** All hosts of a KIngress, in lower case. */
export const hostsOf = ({ spec }: Ingress): readonly string[] => [
  ...new Set(
    (spec.rules ?? []).flatMap(({ hosts = [] }) => hosts.map((host) => host.toLowerCase())),
  ),
]

/** Who a KIngress was made for: `Service default/shop`. */
export function ownerText({ metadata }: Ingress): string {
  const { namespace = '', name, labels = {} } = metadata
  if (labels[label.service]) return `Service ${namespace}/${labels[label.service]}`
  if (labels[label.route]) return `Route ${namespace}/${labels[label.route]}`
  if (labels[label.domainMappingUID]) return `DomainMapping ${namespace}/${name}`
  return `Ingress ${namespace}/${name}`
}
