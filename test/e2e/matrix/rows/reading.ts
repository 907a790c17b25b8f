/** get, describe, explain, events and what says what there is. All of it reads the namespace that the versions share. */
import { row, type Group } from '../row.ts'

const folder = {
  'kustomization.yaml': 'resources: [a.yaml]\n',
  'a.yaml': 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n',
}

export const get: Group = {
  title: 'get',
  shared: true,
  rows: [
    row('get pods', /NAME +READY +STATUS +RESTARTS +AGE\s+[^]*logger +1\/1 +Running/),
    row('get pods -o wide', /NOMINATED NODE +READINESS GATES/),
    row('get cm a -o yaml', /^apiVersion: v1\ndata:\n {2}k: one\nkind: ConfigMap/),
    row('get cm -o json', /"kind": "List"/),
    row('get deploy,svc -o name', /deployment.apps\/web\nservice\/web/),
    row("get cm a -o jsonpath='{.data.k}'", /^one$/),
    row("get cm a -o jsonpath-as-json='{.data.k}'", /^\[\s+"one"\s+\]\s*$/),
    row("get cm -l tier=two -o go-template='{{range .items}}{{.data.l}}{{end}}'", /^three$/),
    row('get cm a -o custom-columns=N:.metadata.name,K:.data.k', /^N +K\s+a +one\s+$/),
    row('get cm a -o custom-columns-file=columns', /^NAME\s+a\s+$/, {
      files: { columns: 'NAME\nmetadata.name\n' },
    }),
    row('get deploy -A', /^NAMESPACE +NAME [^]*shop +web +1\/1/),
    row(
      "get cm -l 'tier in (one),app' --show-labels",
      /^NAME +DATA +AGE +LABELS\s+a +1 .*app=web,tier=one\s+$/,
    ),
    row('get cm -L tier -l app=web', /TIER\s+a +1 +\S+ +one\s+b +2 +\S+ +two/),
    row('get cm --field-selector metadata.name=b -o name', /^configmap\/b\s+$/),
    row(
      'get pods --field-selector status.phase=Running,metadata.name!=twice -o name',
      /pod\/logger/,
    ),
    row('get cm --sort-by=.data.k -l app=web --no-headers', /^a [^]*\nb /),
    row('get cm --chunk-size=1 -o name', /configmap\/a\nconfigmap\/b/),
    row('get cm a --show-kind', /configmap\/a/),
    row('get cm a --show-managed-fields -o yaml', /managedFields:/),
    row('get cm a --server-print=false', /^NAME +AGE\s+a /),
    row('get cm nobody --ignore-not-found', /^$/),
    row('get cm nobody', /Error from server \(NotFound\): configmaps "nobody" not found/, {
      code: 1,
    }),
    row('get foo', /error: the server doesn't have a resource type "foo"/, { code: 1 }),
    row('get sa -l nobody=here', /No resources found in shop namespace/),
    row('get deploy web --subresource=scale', /NAME +DESIRED +AVAILABLE +AGE\s+web +1 +1/),
    row("get deploy web --subresource=status -o jsonpath='{.status.readyReplicas}'", /^1$/),
    row('get --raw /api/v1/namespaces/shop/configmaps/a', /"kind":"ConfigMap"/),
    row('get --raw /readyz?verbose', /readyz check passed/),
    row(
      'get all',
      /pod\/logger[^]*service\/web[^]*deployment.apps\/web[^]*widget.shop.example.com\/w/,
    ),
    row('get deploy/web svc/web', /deployment.apps\/web[^]*service\/web/),
    row('get -f file.yaml', /^NAME +DATA +AGE\s+a /, {
      files: { 'file.yaml': 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n' },
    }),
    row('get -k .', /^NAME +DATA +AGE\s+a /, { files: folder }),
    row('get -R -f .', /^NAME +DATA +AGE\s+a /, { files: { 'sub/a.yaml': folder['a.yaml'] } }),
    row('get wd', /^NAME +SIZE\s+w +3/),
    row('get widgets.v1.shop.example.com w -o yaml', /color: red/),
    row(
      'get ksvc -n default',
      /NAME +URL +LATESTCREATED +LATESTREADY +READY +REASON\s+hello +http/,
    ),
    row('get rev,rt,cfg -n default', /revision.serving[^]*route.serving[^]*configuration.serving/),
    row('get events', /LAST SEEN +TYPE +REASON +OBJECT +MESSAGE/),
    row(
      'get job,cj,sts,ds,hpa,pdb,quota,limits,pvc,ing,netpol,role,rolebinding,sa,secret,ep,endpointslice,rs,lease',
      /job.batch\/once[^]*cronjob.batch\/tick[^]*statefulset.apps\/db[^]*daemonset.apps\/agent/,
    ),
    row(
      'get crd,sc,ingressclass,clusterrole,ns,node,pc',
      /customresourcedefinition.apiextensions.k8s.io\/widgets/,
    ),
    row('get cm $V-w -w', /NAME +DATA +AGE\s+\S+ +1 [^]*-w +2 /, {
      before: ['create cm $V-w --from-literal=a=1'],
      follows: { first: /-w +1/, meanwhile: ['patch cm $V-w -p \'{"data":{"b":"2"}}\''] },
      after: ['delete cm $V-w'],
    }),
    row('get cm -w --output-watch-events -l v=$V', /EVENT +NAME[^]*ADDED +v\S+ [^]*DELETED +v/, {
      follows: { first: /ADDED/, meanwhile: ['delete cm $V-e'] },
      before: ['create cm $V-e', 'label cm $V-e v=$V'],
    }),
    row('get cm --watch-only -l v=$V-o -o name', /^configmap\/v\S+-o/, {
      before: ['create cm $V-o', 'label cm $V-o v=$V-o'],
      follows: {
        meanwhile: ['annotate cm $V-o --overwrite note=1', 'annotate cm $V-o --overwrite note=2'],
      },
    }),
  ],
}

export const describe: Group = {
  title: 'describe',
  shared: true,
  rows: [
    row('describe pod logger', /Containers:\s+c:[^]*State: +Running[^]*Events:[^]*Started/),
    row('describe pods -l app=logger', /^Name: +logger\n/),
    row(
      'describe deploy web',
      /Replicas: +1 desired \| 1 updated \| 1 total \| 1 available[^]*NewReplicaSet: +web-[^]*ScalingReplicaSet/,
    ),
    row('describe rs', /Controlled By: +Deployment\/web/),
    row('describe svc web', /TargetPort: +8080\/TCP/),
    row('describe job once', /Pods Statuses: +0 Active \(0 Ready\) \/ 1 Succeeded \/ 0 Failed/),
    row('describe cj tick', /Schedule: +0 0 1 1 \*/),
    row('describe sts db', /Replicas: +1 desired \| 1 total/),
    row('describe ds agent', /Desired Number of Nodes Scheduled: 1/),
    row('describe hpa web', /Reference: +Deployment\/web/),
    row('describe pdb web', /Min available: +1/),
    row('describe quota plenty', /configmaps +\d+ +100/),
    row('describe limits', /Container +cpu +- +20m/),
    row('describe pvc disk', /Status: +Bound/),
    row('describe ing in', /Ingress Class: +nobody[^]*shop.example.com/),
    row('describe netpol closed', /Not affecting egress traffic/),
    row('describe cm a', /Data\s+====\s+k:\s+----\s+one/),
    row('describe secret s', /password: +6 bytes/),
    row('describe sa default', /Name: +default/),
    row('describe role reader', /pods +\[\] +\[\] +\[get\]/),
    row('describe rolebinding reader', /ServiceAccount +default/),
    row('describe ns shop', /Resource Quotas\s+Name: +plenty/),
    row('describe node', /Conditions:[^]*Ready +True[^]*Non-terminated Pods:[^]*logger/),
    row('describe widget w', /Color: +red/),
    row('describe crd widgets.shop.example.com', /Accepted Names:/),
    row('describe ksvc hello -n default', /Kind: +Service[^]*Created Configuration "hello"/),
    row('describe cm/a cm/b --show-events=false', /Name: +a[^]*Name: +b/),
    row('describe -f file.yaml', /^Name: +a\n/, { files: { 'file.yaml': folder['a.yaml'] } }),
    row('describe cm nobody', /NotFound/, { code: 1 }),
  ],
}

const inProtobuf = {
  reason:
    'For this one form kubectl wants the OpenAPI v2 document in protobuf, which Ebb serves in JSON only (in protobuf it is empty, so that older versions turn to v3). `kubectl explain` without the flag reads v3 and says the same and more.',
  says: /couldn't find resource for "apps\/v1, Kind=Deployment"/,
  code: 1,
}

export const explain: Group = {
  title: 'explain, events, what there is',
  shared: true,
  rows: [
    row(
      'explain deployment.spec.replicas',
      /KIND: +Deployment[^]*FIELD: replicas <integer>|integer/,
    ),
    row('explain pod --recursive', /terminationGracePeriodSeconds\s+<integer>/),
    row('explain hpa.spec.metrics --api-version=autoscaling/v2', /MetricSpec/),
    row(
      'explain deploy.spec --output=plaintext-openapiv2',
      /KIND: +Deployment[^]*replicas\s+<integer>/,
      {
        unlike: Object.fromEntries(
          ['1.27', '1.29', '1.31', '1.33'].map((each) => [each, inProtobuf]),
        ),
      },
    ),
    row('explain ksvc.spec.template.spec.containers', /image/),
    row('explain wd.spec', /How large it is/),
    row('explain foo', /the server doesn't have a resource type "foo"|couldn't find resource for/, {
      code: 1,
    }),
    row('explain pod.nothing', /field "nothing" does not exist/, { code: 1 }),
    row('events', /LAST SEEN +TYPE +REASON +OBJECT +MESSAGE[^]*Pod\/logger/),
    row('events --for pod/logger', /Started +Pod\/logger/),
    row('events --types=Warning', /BackOff +Pod\/twice/),
    row('events -A', /^NAMESPACE +LAST SEEN/),
    row('events -o json', /"kind": "(Event)?List"/),
    row('events --watch', /Pod\/logger/, { follows: {} }),
    row('api-resources', /deployments +deploy +apps\/v1 +true +Deployment/),
    row('api-resources -o wide', /pods +po +v1 +true +Pod +(create|\[?)/),
    row('api-resources -o name --namespaced=false', /nodes\n/),
    row('api-resources --verbs=list --api-group=apps --no-headers', /^controllerrevisions/),
    row('api-resources --categories=all --sort-by=kind', /CronJob[^]*Widget/),
    row('api-versions', /apps\/v1\n[^]*shop.example.com\/v1\n[^]*\nv1\n/),
    row('version', /Server Version: .*v1\.\d+/),
    row('version -o json', /"gitVersion": "v1/),
    row('version --client', /Client Version: .*v1/),
    row('cluster-info', /Kubernetes control plane.* is running at .*https:/),
    row('cluster-info dump --namespaces shop', /"kind": "NodeList"[^]*line 1/),
    row('top node', /NAME +CPU\(cores\) +CPU(\(%\)|%) +MEMORY\(bytes\)/),
    row('top pod', /NAME +CPU\(cores\) +MEMORY\(bytes\)\s+[^]*logger +\d+m +\d+Mi/),
    row('top pod --containers -l app=logger --no-headers', /^logger +c +\d+m/),
    row('top pod -A --sort-by=memory', /NAMESPACE/),
    row('top pod logger --sum', /_/),
  ],
}
