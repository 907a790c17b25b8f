/**
 * ServerlessService: the Services of a Revision and where the public one leads (upstream:
 * pkg/reconciler/serverlessservice). The gateway reads the private Endpoints; the public ones are for everybody else.
 */
import { Endpoints } from '../../../kube/api/endpoints.ts'
import { isControlledBy, keyOf, type KubeObject, type ObjectKey } from '../../../kube/api/meta.ts'
import { Service as CoreService } from '../../../kube/api/service.ts'
import type { Plan, Reader, Reconciler } from '../../../kube/controller/reconciler.ts'
import { finish } from '../../../knative/conditions.ts'
import { label } from '../../api/names.ts'
import {
  ServerlessService,
  serverlessServiceConditions,
  type ServerlessServiceStatus,
} from '../../api/serverless-service.ts'
import { applyEndpoints, readyAddresses, type GatewayAddress } from './endpoints.ts'
import { applyPrivate, applyPublic, privateName } from './services.ts'

export interface World {
  readonly sks: ServerlessService
  readonly privateService: CoreService | undefined
  readonly publicService: CoreService | undefined
  readonly privateEndpoints: Endpoints | undefined
  readonly publicEndpoints: Endpoints | undefined
  readonly gateway: GatewayAddress
}

export const serverlessServiceReconciler = (
  gateway: GatewayAddress,
): Reconciler<ServerlessService, World> => ({
  name: 'serverlessservice-controller',
  kind: ServerlessService,
  watches: [
    { kind: CoreService, wake: 'owner' },
    { kind: Endpoints, wake: ofEndpoints },
  ],

  observe(sks, read) {
    const { namespace, name } = keyOf(sks)
    const inner = { namespace, name: privateName(name) }
    return {
      sks,
      privateService: read.get(CoreService, inner),
      publicService: read.get(CoreService, { namespace, name }),
      privateEndpoints: read.get(Endpoints, inner),
      publicEndpoints: read.get(Endpoints, { namespace, name }),
      gateway,
    }
  },

  plan(world, nowMs) {
    const { sks } = world
    const { generation = 0 } = sks.metadata
    const begun = serverlessServiceConditions.begin(sks.status ?? {}, generation, nowMs)
    const { status, ...plan } = decide(world, begun, nowMs)
    return { ...plan, status: finish(status, sks.status, generation, nowMs) }
  },
})

/** Endpoints carry the labels of their Service; those that don't are found through it. */
function ofEndpoints({ metadata }: KubeObject, read: Reader): readonly ObjectKey[] {
  const { namespace = '', name } = metadata
  const labelled = metadata.labels?.[label.serverlessService]
  const sks =
    labelled ??
    read.get(CoreService, { namespace, name })?.metadata.labels?.[label.serverlessService]
  return sks ? [{ namespace, name: sks }] : []
}

function decide(
  world: World,
  begun: ServerlessServiceStatus,
  nowMs: number,
): Plan & { readonly status: ServerlessServiceStatus } {
  const { sks, privateService, publicService, privateEndpoints, publicEndpoints, gateway } = world
  const { name } = sks.metadata
  for (const child of [privateService, publicService, publicEndpoints]) {
    if (!child || isControlledBy(child, sks)) continue
    // Endpoints without an owner were made for our Service by an endpoints controller: they become ours.
    if (child.kind === Endpoints.kind && !child.metadata.ownerReferences?.length) continue
    return foreign(child, name, begun, nowMs)
  }
  const ready = readyAddresses(privateEndpoints) > 0
  const serving = sks.spec.mode === 'Serve' && ready
  let status: ServerlessServiceStatus = {
    ...begun,
    privateServiceName: privateName(name),
    serviceName: name,
  }
  status = ready
    ? serverlessServiceConditions.markTrue(status, 'EndpointsPopulated', nowMs)
    : serverlessServiceConditions.markUnknown(
        status,
        'EndpointsPopulated',
        'NoHealthyBackends',
        'K8s Service is not ready',
        nowMs,
      )
  return {
    apply: [
      applyPrivate(sks),
      applyPublic(sks),
      applyEndpoints(sks, serving ? privateEndpoints : undefined, gateway),
    ],
    status: activatorBacked(status, !serving, nowMs),
  }
}

function foreign(
  child: KubeObject,
  name: string,
  status: ServerlessServiceStatus,
  nowMs: number,
): Plan & { readonly status: ServerlessServiceStatus } {
  const { kind, metadata } = child
  return {
    status: serverlessServiceConditions.markFalse(
      status,
      'EndpointsPopulated',
      'NotOwned',
      `Resource ${metadata.name} of type ${kind} is not owned by SKS`,
      nowMs,
    ),
    error: new Error(`SKS: ${name} does not own ${kind}: ${metadata.name}`),
  }
}

/** Since when the gateway stands in for the pods: scaling to zero waits for it. */
function activatorBacked(
  status: ServerlessServiceStatus,
  backed: boolean,
  nowMs: number,
): ServerlessServiceStatus {
  const type = 'ActivatorEndpointsPopulated'
  const message = 'Revision is backed by Activator'
  return backed
    ? serverlessServiceConditions.markTrueWithReason(status, type, type, message, nowMs)
    : serverlessServiceConditions.markFalse(status, type, type, message, nowMs)
}
