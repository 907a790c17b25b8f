/** Who may what, certificates, nodes, and what kubectl does by itself. */
import { row, type Group } from '../row.ts'

export const access: Group = {
  title: 'auth, certificate, config, and what needs no server',
  rows: [
    row('auth can-i create pods', /^yes$/m),
    row('auth can-i create pods --as=jane', /^no$/m, { code: 1 }),
    row('auth can-i --list', /\*\.\* +\[\] +\[\] +\[\*\]/),
    row('auth can-i get pods --subresource=log -A', /yes/),
    row('auth can-i get /healthz', /yes/),
    row('auth whoami', /Username +\S+/),
    row('auth whoami -o json', /"kind": "SelfSubjectReview"/),
    row('auth reconcile -f -', /role.rbac.authorization.k8s.io\/rr reconciled/, {
      input:
        'apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: rr, namespace: $NS}\nrules: [{apiGroups: [""], resources: [pods], verbs: [get]}]\n',
    }),
    row('get pods --as=system:serviceaccount:$NS:default', /Forbidden/, { code: 1 }),
    row(
      'certificate approve $NS-yes',
      /certificatesigningrequest.certificates.k8s.io\/\S+ approved/,
      {
        before: ['create -f $DATA/csr-$NS-yes.yaml'],
      },
    ),
    row('certificate deny $NS-no', /certificatesigningrequest.certificates.k8s.io\/\S+ denied/, {
      before: ['create -f $DATA/csr-$NS-no.yaml'],
    }),
    row('get csr', /Approved[^]*|Denied/),
    row('config view --minify', /server: https:/),
    row('config current-context', /ebb/),
    row('config get-contexts', /CURRENT +NAME +CLUSTER/),
    row('config get-clusters', /ebb/),
    row('config get-users', /NAME/),
    row('config set-context other --cluster=ebb --user=ebb', /Context "other" created/),
    row('config rename-context other another', /renamed/),
    row('config set-cluster c --server=https://127.0.0.1:1', /Cluster "c" set/),
    row('config set-credentials u --token=t', /User "u" set/),
    row('config set users.u.token v', /Property "users.u.token" set/),
    row('config unset users.u', /Property "users.u" unset/),
    row('config delete-context another', /deleted context another/),
    row('config delete-cluster c', /deleted cluster c/),
    row('config use-context ebb', /Switched to context "ebb"/),
    row('completion bash', /__start_kubectl|complete/),
    row('__complete get pods --namespace ku', /kube-system/),
    row('plugin list', /kubectl-hello/, {
      files: { 'kubectl-hello': '#!/bin/sh\necho hello from a plugin\n' },
    }),
    row('hello', /hello from a plugin/, {
      files: { 'kubectl-hello': '#!/bin/sh\necho hello from a plugin\n' },
    }),
    row('options', /--as=/),
  ],
}

export const node: Group = {
  title: 'nodes',
  last: true,
  rows: [
    row('taint node $NODE $NS=x:PreferNoSchedule', /node\/\S+ tainted/),
    row('taint node $NODE $NS-', /node\/\S+ untainted/),
    row('label node $NODE $NS=here', /node\/\S+ labeled/),
    row('cordon $NODE', /node\/\S+ (already )?cordoned/),
    row(
      'drain $NODE --ignore-daemonsets --force --delete-emptydir-data --pod-selector=run=$NS --timeout=30s',
      /evicting pod[^]*pod\/\S+ evicted[^]*node\/\S+ drained/,
      {
        before: ['apply -f $DATA/drained-$NS.yaml', 'wait pod/$NS --for=condition=Ready'],
      },
    ),
    row(
      'drain $NODE --dry-run=server --ignore-daemonsets --force --pod-selector=run=$NS',
      /drained \(server dry run\)/,
    ),
    row('uncordon $NODE', /node\/\S+ (already )?uncordoned/),
  ],
}
