/** create with all its generators, apply in its ways, run, expose, autoscale. */
import { definition, deployment, widget } from '../objects.ts'
import { row, type Group } from '../row.ts'

const map = (name: string, value: string, labels = ''): string =>
  `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}${labels}}\ndata: {k: "${value}"}\n`
const listed = (names: readonly string[]): string =>
  names.map((name) => map(name, name, ', labels: {set: p}')).join('---\n')

export const create: Group = {
  title: 'create, run, expose, autoscale',
  objects: deployment('web', 0),
  rows: [
    row('create -f -', /configmap\/f created/, { input: map('f', '1') }),
    row('create -f -', /AlreadyExists/, { input: map('f', '1'), code: 1 }),
    row('create -f - --save-config --dry-run=server -o yaml', /last-applied-configuration/, {
      input: map('g', '1'),
    }),
    row('create -f - --validate=strict', /unknown field "dota"/, {
      input: 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: g}\ndota: {}\n',
      code: 1,
    }),
    row(
      'create -f - --validate=warn',
      /Warning: unknown field "dota"[^]*created|unknown field "dota"/,
      {
        input: 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: warned}\ndota: {}\n',
      },
    ),
    row('create --raw /api/v1/namespaces/$NS/configmaps -f file.json', /"name":"raw"/, {
      files: { 'file.json': '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"raw"}}' },
    }),
    row('create -f - --edit', /configmap\/edited created/, {
      input: map('edited', 'one'),
      env: { KUBE_EDITOR: 'sed -i s/one/two/' },
    }),
    row('create cm c --from-literal=a=1 --from-file=file.txt', /configmap\/c created/, {
      files: { 'file.txt': 'text' },
    }),
    row('create cm e --from-env-file=env', /configmap\/e created/, { files: { env: 'X=1\n' } }),
    row('create secret generic s --from-literal=a=1', /secret\/s created/),
    row(
      'create secret docker-registry r --docker-server=r.example.com --docker-username=u --docker-password=p',
      /secret\/r created/,
    ),
    row(
      'create secret tls t --cert=$DATA/certificates/server.crt --key=$DATA/certificates/server.key',
      /secret\/t created/,
    ),
    row('create sa robot', /serviceaccount\/robot created/),
    row('create token robot --duration=10m', /^eyJ[\w-]+\.[\w-]+\.[\w-]+\s*$/),
    row(
      'create token robot --audience=shop --bound-object-kind=Secret --bound-object-name=s',
      /^eyJ/,
    ),
    row('create ns $NS-more', /namespace\/\S+ created/, {
      after: ['delete ns $NS-more --wait=false'],
    }),
    row('create quota q --hard=pods=20,services=50', /resourcequota\/q created/),
    row(
      'create role r --verb=get,list --resource=pods,deployments.apps',
      /role.rbac.authorization.k8s.io\/r created/,
    ),
    row(
      'create rolebinding r --role=r --serviceaccount=$NS:robot',
      /rolebinding.rbac.authorization.k8s.io\/r created/,
    ),
    row(
      'create clusterrole $NS --verb=get --resource=nodes',
      /clusterrole.rbac.authorization.k8s.io\/\S+ created/,
    ),
    row('create clusterrole $NS-u --verb=get --non-resource-url=/metrics', /created/),
    row(
      'create clusterrolebinding $NS --clusterrole=$NS --user=jane',
      /clusterrolebinding.rbac.authorization.k8s.io\/\S+ created/,
    ),
    row(
      "create ingress i --class=nobody --rule='a.example.com/*=web:80'",
      /ingress.networking.k8s.io\/i created/,
    ),
    row(
      'create pdb p --selector=app=web --min-available=1',
      /poddisruptionbudget.policy\/p created/,
    ),
    row('create priorityclass $NS --value=1000', /priorityclass.scheduling.k8s.io\/\S+ created/, {
      after: ['delete priorityclass $NS'],
    }),
    row('create deployment d --image=hello --replicas=0 --port=8080', /deployment.apps\/d created/),
    row('create job j --image=hello -- true', /job.batch\/j created/),
    row(
      "create cronjob cj --image=hello --schedule='0 0 1 1 *' -- true",
      /cronjob.batch\/cj created/,
    ),
    row('create job manual --from=cronjob/cj', /job.batch\/manual created/),
    row('create service clusterip ci --tcp=80:8080', /service\/ci created/),
    row('create service nodeport np --tcp=80:8080', /service\/np created/),
    row('create service loadbalancer lb --tcp=80:8080', /service\/lb created/),
    row('create service externalname en --external-name=example.com', /service\/en created/),
    row('create cm client --dry-run=client -o yaml', /kind: ConfigMap/),
    row('expose deploy web --port=80 --target-port=8080 --name=web2', /service\/web2 exposed/),
    row(
      'autoscale deploy web --min=1 --max=2 --cpu-percent=80',
      /horizontalpodautoscaler.autoscaling\/web autoscaled/,
    ),
    row('run plain --image=hello --restart=Never --command -- true', /pod\/plain created/),
    row(
      'run both --image=hello --port=8080 --expose --restart=Never',
      /service\/both created\s+pod\/both created/,
      {
        after: ['delete pod both --now --wait=false'],
      },
    ),
    row(
      'run dry --image=hello --dry-run=server -o yaml --labels=a=b --env=A=1 --annotations=n=1',
      /uid: /,
    ),
    row('run in --image=hello --restart=Never -i --rm --quiet --command -- cat', /^heard/, {
      input: 'heard\n',
    }),
    row(
      'run out --image=hello --restart=Never --attach --rm --command -- sh -c "for i in $(seq 30); do echo said; sleep 0.1; done"',
      /said[^]*pod "out" deleted/,
    ),
    row(
      'run tty --image=hello --restart=Never -it --rm --command -- sh',
      /a2b[^]*pod "tty" deleted/,
      {
        typed: 'echo a$((1+1))b; exit\n',
      },
    ),
  ],
}

export const apply: Group = {
  title: 'apply, diff, replace',
  rows: [
    row('apply -f -', /configmap\/a created/, { input: map('a', '1') }),
    row('apply -f -', /configmap\/a unchanged/, { input: map('a', '1') }),
    row('diff -f -', /-  k: "1"\n\+  k: "2"/, { input: map('a', '2'), code: 1 }),
    row('diff -f -', /^$/, { input: map('a', '1') }),
    row('diff --server-side -f -', /\+  k: "2"/, { input: map('a', '2'), code: 1 }),
    row('apply -f - --dry-run=server', /configmap\/a configured \(server dry run\)/, {
      input: map('a', '2'),
    }),
    row('apply -f - --dry-run=client -o yaml', /k: "2"/, { input: map('fresh', '2') }),
    row('apply -f -', /configmap\/a configured/, { input: map('a', '2') }),
    row('apply -f - --overwrite=false', /configmap\/a unchanged/, { input: map('a', '2') }),
    row('apply view-last-applied cm/a -o yaml', /k: "2"/),
    row('apply set-last-applied -f file.yaml', /configmap\/a configured/, {
      files: { 'file.yaml': map('a', '3') },
    }),
    row('apply edit-last-applied cm/a', /configmap\/a edited/, {
      env: { KUBE_EDITOR: "sed -i 's/k: .3./k: four/'" },
    }),
    row('apply --server-side -f -', /configmap\/ss serverside-applied/, { input: map('ss', '1') }),
    row('apply --server-side --field-manager=other -f -', /conflict with "kubectl": \.data\.k/, {
      input: map('ss', '2'),
      code: 1,
    }),
    row(
      'apply --server-side --field-manager=other --force-conflicts -f -',
      /configmap\/ss serverside-applied/,
      {
        input: map('ss', '2'),
      },
    ),
    row('apply --server-side -f - --dry-run=server', /serverside-applied \(server dry run\)/, {
      input: map('ss3', '2'),
    }),
    row('apply --prune -l set=p -f -', /configmap\/p1 created\s+configmap\/p2 created/, {
      input: listed(['p1', 'p2']),
    }),
    row(
      'apply --prune -l set=p --prune-allowlist=core/v1/ConfigMap -f -',
      /configmap\/p1 unchanged\s+configmap\/p2 pruned/,
      {
        input: listed(['p1']),
      },
    ),
    row(
      'apply -n $NS -f - --prune --applyset=cm/set',
      /configmap\/p4 (serverside-applied|created)/,
      {
        input: listed(['p4']),
        env: { KUBECTL_APPLYSET: 'true' },
      },
    ),
    row('apply -k .', /configmap\/from-k-\w+ created/, {
      files: { 'kustomization.yaml': 'configMapGenerator:\n- name: from-k\n  literals: [a=1]\n' },
    }),
    row('kustomize .', /name: from-k-/, {
      files: { 'kustomization.yaml': 'configMapGenerator:\n- name: from-k\n  literals: [a=1]\n' },
    }),
    row('apply -R -f .', /configmap\/r1 created/, { files: { 'x/y.yaml': map('r1', '1') } }),
    row('apply -f - --wait', /configmap\/a configured/, { input: map('a', '10') }),
    row('apply -f - --force', /configmap\/a configured/, { input: map('a', '11') }),
    row('apply -f -', /widget.shop.example.com\/wx created/, { input: widget('wx') }),
    row('apply -f -', /widget.shop.example.com\/wx configured/, {
      input: widget('wx').replace('red', 'blue'),
    }),
    row('apply --server-side -f -', /widget.shop.example.com\/wy serverside-applied/, {
      input: widget('wy'),
    }),
    row('apply -f -', /spec.size[^]*greater than or equal to 0/, {
      input: widget('wz').replace('3', '-3'),
      code: 1,
    }),
    row('apply -f - --validate=ignore', /configmap\/ignored created/, {
      input: `${map('ignored', '1')}extra: 1\n`,
    }),
    row(
      'apply -f -',
      /customresourcedefinition.apiextensions.k8s.io\/widgets.shop.example.com unchanged/,
      { input: definition },
    ),
    row('replace -f -', /configmap\/a replaced/, { input: map('a', '20') }),
    row('replace --force -f -', /configmap "a" (force )?deleted[^]*configmap\/a replaced/, {
      input: map('a', '21'),
    }),
    row('replace -f -', /NotFound/, { input: map('nobody', '1'), code: 1 }),
    row('replace --raw /api/v1/namespaces/$NS/configmaps/a -f file.json', /"k":"raw"/, {
      files: {
        'file.json':
          '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"k":"raw"}}',
      },
    }),
    row('delete -k .', /configmap "from-k-\w+" deleted/, {
      files: { 'kustomization.yaml': 'configMapGenerator:\n- name: from-k\n  literals: [a=1]\n' },
    }),
  ],
}
