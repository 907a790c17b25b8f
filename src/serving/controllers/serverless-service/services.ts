/**
 * The two k8s Services of a Revision: the private one selects its pods, the public one is what requests are sent to.
 * Without a sidecar both lead to the user's port.
 */
import { apiVersionOf } from '../../../kube/api/kind.ts'
import { controllerRef, type KubeObject } from '../../../kube/api/meta.ts'
import { Service as CoreService } from '../../../kube/api/service.ts'
import type { Apply } from '../../../kube/controller/reconciler.ts'
import { childName } from '../../../knative/child-name.ts'
import { label, userPortName } from '../../api/names.ts'
import type { ServerlessService } from '../../api/serverless-service.ts'

export const privateName = (revision: string): string => childName(revision, '-private')

/** The one port that leads to the program, in Services and Endpoints. */
export const portName = ({ spec }: ServerlessService): 'http' | 'http2' =>
  spec.protocolType === 'h2c' ? 'http2' : 'http'

const servicePort = (sks: ServerlessService): number => (portName(sks) === 'http2' ? 81 : 80)

const ports = (sks: ServerlessService, port: number) => [
  {
    name: portName(sks),
    port,
    protocol: 'TCP',
    targetPort: userPortName,
    ...(sks.spec.protocolType === 'h2c' && { appProtocol: 'kubernetes.io/h2c' }),
  },
]

export const applyPublic = (sks: ServerlessService): Apply =>
  applyService(sks, sks.metadata.name, 'Public', { ports: ports(sks, servicePort(sks)) })

export const applyPrivate = (sks: ServerlessService): Apply =>
  applyService(sks, privateName(sks.metadata.name), 'Private', {
    ports: ports(sks, 80),
    selector: { [label.revisionUID]: sks.metadata.labels?.[label.revisionUID] ?? '' },
  })

export const childLabels = (sks: ServerlessService, serviceType: 'Public' | 'Private') => ({
  ...sks.metadata.labels,
  [label.serverlessService]: sks.metadata.name,
  [label.serviceType]: serviceType,
})

function applyService(
  sks: ServerlessService,
  name: string,
  serviceType: 'Public' | 'Private',
  spec: object,
): Apply {
  const { namespace, annotations } = sks.metadata
  const desired: KubeObject & { readonly spec: object } = {
    apiVersion: apiVersionOf(CoreService),
    kind: CoreService.kind,
    metadata: {
      name,
      ...(namespace && { namespace }),
      labels: childLabels(sks, serviceType),
      ...(annotations && { annotations }),
      ownerReferences: [controllerRef(sks)],
    },
    spec,
  }
  return {
    kind: CoreService,
    desired,
    // What the server has added (its address, the family of it) stays.
    merge: (existing) => ({
      ...existing,
      metadata: {
        ...existing.metadata,
        labels: { ...existing.metadata.labels, ...desired.metadata.labels },
        annotations: { ...existing.metadata.annotations, ...annotations },
      },
      spec: { ...(existing as CoreService).spec, ...spec },
    }),
  }
}
