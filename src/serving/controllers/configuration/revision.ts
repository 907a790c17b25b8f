/** The Revision that a generation of a Configuration becomes. */
import { rfc3339 } from '../../../lib/clock.ts'
import { apiVersionOf } from '../../../kube/api/kind.ts'
import { controllerRef } from '../../../kube/api/meta.ts'
import { childName } from '../../../knative/child-name.ts'
import type { Configuration } from '../../api/configuration.ts'
import { annotation, label } from '../../api/names.ts'
import { Revision } from '../../api/revision.ts'
import { present } from '../copied-metadata.ts'

/** The name the user chose, else `<configuration>-<generation in five digits>`. */
export const revisionName = ({ metadata, spec }: Configuration): string =>
  spec.template.metadata?.name ||
  childName(metadata.name, `-${String(metadata.generation ?? 0).padStart(5, '0')}`)

export function desiredRevision(configuration: Configuration, nowMs: number): Revision {
  const { name, namespace, labels, annotations, uid, generation = 0 } = configuration.metadata
  const { metadata, spec } = configuration.spec.template
  return {
    apiVersion: apiVersionOf(Revision),
    kind: Revision.kind,
    metadata: {
      name: revisionName(configuration),
      ...(namespace && { namespace }),
      labels: present({
        ...metadata?.labels,
        [label.configuration]: name,
        [label.configurationGeneration]: String(generation),
        [label.configurationUID]: uid,
        [label.service]: labels?.[label.service],
        [label.serviceUID]: labels?.[label.serviceUID],
        // A Configuration that a Route leads to already: the new Revision will soon have traffic.
        [label.routingState]: annotations?.[annotation.routes] ? 'active' : 'pending',
      }),
      annotations: present({
        ...metadata?.annotations,
        [annotation.creator]: annotations?.[annotation.lastModifier],
        [annotation.routingStateModified]: rfc3339(nowMs),
      }),
      ownerReferences: [controllerRef(configuration)],
    },
    spec,
  }
}
