/**
 * The roles and bindings that every cluster has (Kubernetes' bootstrap policy), as far as somebody can use them here:
 * those of components that run elsewhere in a cluster are left out.
 */
import { ClusterRole } from '../../../api/cluster-role.ts'
import { ClusterRoleBinding } from '../../../api/cluster-role-binding.ts'
import type { KubeObject } from '../../../api/meta.ts'
import { rbacGroup, type PolicyRule, type RoleRef, type Subject } from '../../../api/policy-rule.ts'
import { Role } from '../../../api/role.ts'
import { RoleBinding } from '../../../api/role-binding.ts'

/** A role or binding before it is stored. */
export interface PolicyObject extends KubeObject {
  readonly resource: { readonly group: string; readonly plural: string }
  readonly rules?: readonly PolicyRule[]
  readonly aggregationRule?: ClusterRole['aggregationRule']
  readonly roleRef?: RoleRef
  readonly subjects?: readonly Subject[]
}

export const autoupdate = 'rbac.authorization.kubernetes.io/autoupdate'
const apiVersion = `${rbacGroup}/v1`

const read = ['get', 'list', 'watch']
const write = ['create', 'delete', 'deletecollection', 'patch', 'update']
const readWrite = [...read, ...write].toSorted()

/** `resources` as words of one text. */
const rule = (verbs: readonly string[], group: string, resources: string): PolicyRule => ({
  apiGroups: [group],
  resources: resources.split(' '),
  verbs,
})
const paths = (...nonResourceURLs: string[]): PolicyRule => ({ nonResourceURLs, verbs: ['get'] })

const metadata = (name: string, labels: Readonly<Record<string, string>> = {}) => ({
  name,
  labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults', ...labels },
  annotations: { [autoupdate]: 'true' },
})

const role = (name: string, ...rules: PolicyRule[]): PolicyObject => ({
  resource: ClusterRole,
  apiVersion,
  kind: 'ClusterRole',
  metadata: metadata(name),
  rules,
})

const aggregateTo = (to: string): string => `${rbacGroup}/aggregate-to-${to}`

/** A role whose rules are part of `admin`, `edit` or `view`. */
export const partOf = (
  to: readonly string[],
  name: string,
  rules: readonly PolicyRule[],
  labels: Readonly<Record<string, string>> = {},
): PolicyObject => ({
  resource: ClusterRole,
  apiVersion,
  kind: 'ClusterRole',
  metadata: {
    name,
    labels: { ...labels, ...Object.fromEntries(to.map((each) => [aggregateTo(each), 'true'])) },
  },
  rules,
})

const union = (name: string, above?: string): PolicyObject => ({
  resource: ClusterRole,
  apiVersion,
  kind: 'ClusterRole',
  metadata: metadata(name, above ? { [aggregateTo(above)]: 'true' } : {}),
  aggregationRule: { clusterRoleSelectors: [{ matchLabels: { [aggregateTo(name)]: 'true' } }] },
  rules: [],
})

const part = (to: string, ...rules: PolicyRule[]): PolicyObject => {
  const made = partOf([to], `system:aggregate-to-${to}`, rules)
  return { ...made, metadata: metadata(made.metadata.name, made.metadata.labels) }
}

const binding = (name: string, ...groups: string[]): PolicyObject => ({
  resource: ClusterRoleBinding,
  apiVersion,
  kind: 'ClusterRoleBinding',
  metadata: metadata(name),
  roleRef: { apiGroup: rbacGroup, kind: 'ClusterRole', name },
  subjects: groups.map((group) => ({ apiGroup: rbacGroup, kind: 'Group', name: group })),
})

const readerName = 'extension-apiserver-authentication-reader'

const health = ['/healthz', '/livez', '/readyz']
const version = ['/version', '/version/']

/** A new list each time: what is stored is frozen. */
export const defaultPolicy = (): readonly PolicyObject[] => [
  role(
    'cluster-admin',
    { apiGroups: ['*'], resources: ['*'], verbs: ['*'] },
    { nonResourceURLs: ['*'], verbs: ['*'] },
  ),
  binding('cluster-admin', 'system:masters'),
  role(
    'system:discovery',
    paths('/api', '/api/*', '/apis', '/apis/*', ...health, '/openapi', '/openapi/*', ...version),
  ),
  binding('system:discovery', 'system:authenticated'),
  role(
    'system:basic-user',
    rule(['create'], 'authorization.k8s.io', 'selfsubjectaccessreviews selfsubjectrulesreviews'),
    rule(['create'], 'authentication.k8s.io', 'selfsubjectreviews'),
  ),
  binding('system:basic-user', 'system:authenticated'),
  role('system:public-info-viewer', paths(...health, ...version)),
  binding('system:public-info-viewer', 'system:authenticated', 'system:unauthenticated'),
  role(
    'system:service-account-issuer-discovery',
    paths(
      '/.well-known/openid-configuration',
      '/.well-known/openid-configuration/',
      '/openid/v1/jwks',
      '/openid/v1/jwks/',
    ),
  ),
  binding('system:service-account-issuer-discovery', 'system:serviceaccounts'),
  role(
    'system:monitoring',
    paths('/metrics', '/metrics/*', ...health, '/healthz/*', '/livez/*', '/readyz/*'),
  ),
  binding('system:monitoring', 'system:monitoring'),
  role(
    'system:auth-delegator',
    rule(['create'], 'authentication.k8s.io', 'tokenreviews'),
    rule(['create'], 'authorization.k8s.io', 'subjectaccessreviews'),
  ),
  role('system:certificates.k8s.io:kube-apiserver-client-approver', {
    ...rule(['approve'], 'certificates.k8s.io', 'signers'),
    resourceNames: ['kubernetes.io/kube-apiserver-client'],
  }),
  union('admin'),
  union('edit', 'admin'),
  union('view', 'edit'),
  part(
    'admin',
    rule(['create'], 'authorization.k8s.io', 'localsubjectaccessreviews'),
    rule(readWrite, rbacGroup, 'rolebindings roles'),
  ),
  part(
    'edit',
    rule(read, '', 'pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy'),
    rule(['impersonate'], '', 'serviceaccounts'),
    rule(write, '', 'pods pods/attach pods/exec pods/portforward pods/proxy'),
    rule(['create'], '', 'pods/eviction'),
    rule(
      write,
      '',
      'configmaps events persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets serviceaccounts services services/proxy',
    ),
    rule(['create'], '', 'serviceaccounts/token'),
    rule(
      write,
      'apps',
      'daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets statefulsets/scale',
    ),
    rule(write, 'autoscaling', 'horizontalpodautoscalers'),
    rule(write, 'batch', 'cronjobs jobs'),
    rule(write, 'policy', 'poddisruptionbudgets'),
    rule(write, 'networking.k8s.io', 'ingresses networkpolicies'),
    rule(readWrite, 'coordination.k8s.io', 'leases'),
  ),
  part(
    'view',
    rule(
      read,
      '',
      'configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status',
    ),
    rule(
      read,
      '',
      'bindings events limitranges namespaces/status pods/log pods/status replicationcontrollers/status resourcequotas resourcequotas/status',
    ),
    rule(read, '', 'namespaces'),
    rule(read, 'discovery.k8s.io', 'endpointslices'),
    rule(
      read,
      'apps',
      'controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status replicasets replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status',
    ),
    rule(read, 'autoscaling', 'horizontalpodautoscalers horizontalpodautoscalers/status'),
    rule(read, 'batch', 'cronjobs cronjobs/status jobs jobs/status'),
    rule(read, 'policy', 'poddisruptionbudgets poddisruptionbudgets/status'),
    rule(read, 'networking.k8s.io', 'ingresses ingresses/status networkpolicies'),
    rule(read, 'metrics.k8s.io', 'nodes pods'),
  ),
  {
    resource: Role,
    apiVersion,
    kind: 'Role',
    metadata: { ...metadata(readerName), namespace: 'kube-system' },
    rules: [
      { ...rule(read, '', 'configmaps'), resourceNames: ['extension-apiserver-authentication'] },
    ],
  },
  {
    resource: RoleBinding,
    apiVersion,
    kind: 'RoleBinding',
    metadata: { ...metadata(`system::${readerName}`), namespace: 'kube-system' },
    roleRef: { apiGroup: rbacGroup, kind: 'Role', name: readerName },
    subjects: [
      { apiGroup: rbacGroup, kind: 'User', name: 'system:kube-controller-manager' },
      { apiGroup: rbacGroup, kind: 'User', name: 'system:kube-scheduler' },
    ],
  },
]
