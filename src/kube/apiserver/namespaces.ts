/**
 * Namespaces: the ones there from the start, what each is furnished with before anyone can use it, and when one
 * takes new objects.
 */
import { rfc3339 } from '../../lib/clock.ts'
import type { KubeObject } from '../api/meta.ts'
import { StatusError, notFound } from '../api/status-error.ts'
import type { Write } from '../store/store.ts'
import { forbidden } from '../api/status-error.ts'
import type { Machinery, Target } from './machinery.ts'
import { readStored } from './machinery.ts'
import { randomUuid } from './metadata.ts'
import { storeKey } from './registry.ts'
import { open } from './values.ts'

const namespaceKind = { group: '', kind: 'Namespace', plural: 'namespaces' }
const protectedNamespaces = new Set(['default', 'kube-system', 'kube-public'])
const firstNamespaces = ['default', 'kube-system', 'kube-public', 'kube-node-lease']

/** Throws NotFound for a missing namespace and Forbidden for one that is being deleted. */
export function requireNamespace(
  { machinery, kind }: Target,
  namespace: string,
  name: string,
): void {
  if (!machinery.registry.byKind('', 'Namespace')) return
  const found = readStored(machinery, namespaceKind, { namespace: '', name: namespace })
  if (!found) throw notFound(namespaceKind, namespace)
  if (found.metadata.deletionTimestamp === undefined) return
  const why = `unable to create new content in namespace ${namespace} because it is being terminated`
  const refusal = forbidden(kind, name, why)
  throw new StatusError('Forbidden', refusal.message, {
    ...refusal.details,
    causes: [
      {
        reason: 'NamespaceTerminating',
        message: `namespace ${namespace} is being terminated`,
        field: 'metadata.namespace',
      },
    ],
  })
}

/** A namespace as created: labelled by its name, held until its content is gone, active. */
export function newNamespace(given: KubeObject): KubeObject {
  const { metadata } = given
  const labels = { ...metadata.labels, 'kubernetes.io/metadata.name': metadata.name }
  const fields = {
    metadata: { ...metadata, labels },
    spec: { finalizers: ['kubernetes'] },
    status: { phase: 'Active' },
  }
  return { ...given, ...fields }
}

/** The label with the name is there to be selected by: it stays whatever an update says. */
export function updatedNamespace(next: KubeObject, old: KubeObject): KubeObject {
  const { metadata } = next
  const labels = { ...metadata.labels, 'kubernetes.io/metadata.name': metadata.name }
  const fields = { metadata: { ...metadata, labels }, spec: open(old)['spec'] }
  return { ...next, ...fields }
}

/** Refuses to delete the namespaces that the platform itself stands on. */
export function requireDeletable(target: Target): void {
  if (protectedNamespaces.has(target.name))
    throw forbidden(target.kind, target.name, 'this namespace may not be deleted')
}

/** Puts into a new namespace what must be there before the first pod: ServiceAccount and root certificate. */
export function furnishNamespace(machinery: Machinery, namespace: string): readonly Write[] {
  const metadata = (name: string) => ({
    name,
    namespace,
    uid: randomUuid(machinery.random),
    creationTimestamp: rfc3339(machinery.clock.now()),
  })
  const account = {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: metadata('default'),
  }
  const root = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      ...metadata('kube-root-ca.crt'),
      annotations: {
        'kubernetes.io/description':
          'Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc.',
      },
    },
    data: { 'ca.crt': machinery.rootCA },
  }
  return [
    ...putIfAbsent(machinery, 'serviceaccounts', account),
    ...putIfAbsent(machinery, 'configmaps', root),
  ]
}

/** Makes the namespaces of an empty store, and what an older store lacks of them. */
export function bootstrapNamespaces(machinery: Machinery): void {
  if (!machinery.registry.byKind('', 'Namespace')) return
  for (const name of firstNamespaces) {
    const metadata = {
      name,
      uid: randomUuid(machinery.random),
      creationTimestamp: rfc3339(machinery.clock.now()),
    }
    const namespace = newNamespace({ apiVersion: 'v1', kind: 'Namespace', metadata })
    const made = putIfAbsent(machinery, 'namespaces', namespace)
    for (const { durable } of [...made, ...furnishNamespace(machinery, name)])
      durable.catch((error: unknown) => {
        machinery.log.error('a first namespace is not durable', { namespace: name, error })
      })
  }
}

function putIfAbsent(machinery: Machinery, plural: string, object: KubeObject): readonly Write[] {
  const { name, namespace = '' } = object.metadata
  if (!machinery.registry.byKind('', object.kind)) return []
  const key = storeKey({ group: '', plural }, { namespace, name })
  return machinery.store.get(key) ? [] : [machinery.store.put(key, object, 0)]
}
