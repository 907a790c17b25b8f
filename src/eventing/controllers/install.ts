/**
 * What a fresh API server needs before Knative Eventing runs on it: the system namespace, its ConfigMaps and the
 * Services that tools look for. May run at each start: what users changed stays.
 */
import { ConfigMap } from '../../kube/api/config-map.ts'
import type { Kind } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { Namespace } from '../../kube/api/namespace.ts'
import { ServiceAccount } from '../../kube/api/service-account.ts'
import { Service as CoreService } from '../../kube/api/service.ts'
import { hasReason } from '../../kube/api/status-error.ts'
import type { Client } from '../../kube/client/client.ts'
import { eventingConfigMaps } from '../api/config/config-maps.ts'
import { systemNamespace } from '../api/names.ts'
import { systemServices } from './engine/system-services.ts'

export async function installEventing(client: Client): Promise<void> {
  await ensure(client, Namespace, {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: systemNamespace, labels: { 'app.kubernetes.io/name': 'knative-eventing' } },
  })
  await Promise.all([
    ...eventingConfigMaps().map((each) => ensure(client, ConfigMap, each)),
    ...systemServices().map((each) => ensure(client, CoreService, each)),
    ...accounts.map((name) => ensure(client, ServiceAccount, account(name))),
  ])
}

/** Who Knative's parts are, in tokens and in policies. */
const accounts = [
  'eventing-controller',
  'eventing-webhook',
  'mt-broker-ingress',
  'mt-broker-ingress-oidc',
  'mt-broker-filter',
  'imc-controller',
  'imc-dispatcher',
  'job-sink',
  'pingsource-mt-adapter',
  'request-reply',
]

const account = (name: string): ServiceAccount => ({
  apiVersion: 'v1',
  kind: 'ServiceAccount',
  metadata: {
    name,
    namespace: systemNamespace,
    labels: { 'app.kubernetes.io/name': 'knative-eventing' },
  },
})

/** The object as it is stored: ours when it was missing. */
async function ensure<T extends KubeObject>(
  client: Client,
  kind: Kind<T>,
  object: T,
): Promise<void> {
  try {
    await client.create(kind, object)
  } catch (error) {
    if (!hasReason(error, 'AlreadyExists')) throw error
  }
}
