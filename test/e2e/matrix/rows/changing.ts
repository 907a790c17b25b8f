/** edit, patch, label, annotate, scale, set, rollout, delete, wait: what changes objects and waits for it. */
import { deployment, widget } from '../objects.ts'
import { row, type Group } from '../row.ts'

const map = (name: string, labels = ''): string =>
  `---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}, labels: {app: x${labels}}}\ndata: {k: one}\n`

export const change: Group = {
  title: 'edit, patch, label, annotate, scale, set',
  objects: `${map('a')}${deployment('web', 0)}${widget('w')}`,
  rows: [
    row('edit cm a', /configmap\/a edited/, { env: { KUBE_EDITOR: 'sed -i s/one/two/' } }),
    row('edit cm a', /Edit cancelled, no changes made/, { env: { KUBE_EDITOR: 'true' } }),
    row('edit cm a -o json --output-patch', /Patch: \{"data":\{"k":"three"\}/, {
      env: { KUBE_EDITOR: 'sed -i s/two/three/' },
    }),
    row('edit deploy web', /"web" is invalid[^]*no valid changes were saved/, {
      env: { KUBE_EDITOR: "sed -i 's/replicas: 0/replicas: -1/'" },
      code: 1,
    }),
    row('edit deploy web --subresource=status', /deployment.apps\/web edited/, {
      env: { KUBE_EDITOR: "sed -i 's/observedGeneration: .*/observedGeneration: 0/'" },
    }),
    row('edit wd w', /widget.shop.example.com\/w edited/, {
      env: { KUBE_EDITOR: 'sed -i s/red/green/' },
    }),
    row(`patch cm a -p '{"data":{"l":"1"}}'`, /configmap\/a patched/),
    row(`patch cm a --type=merge -p '{"data":{"l":null}}'`, /configmap\/a patched/),
    row(
      `patch cm a --type=json -p '[{"op":"replace","path":"/data/k","value":"j"}]'`,
      /configmap\/a patched/,
    ),
    row(
      `patch cm a --type=json -p '[{"op":"test","path":"/data/k","value":"other"}]'`,
      /the server rejected our request|test/i,
      { code: 1 },
    ),
    row(`patch cm a -p '{"data":{"k":"j"}}'`, /configmap\/a patched \(no change\)/),
    row(
      `patch deploy web -p '{"spec":{"template":{"spec":{"containers":[{"name":"c","env":[{"name":"A","value":"1"}]}]}}}}' -o jsonpath='{.spec.template.spec.containers[0].image}'`,
      /^hello$/,
    ),
    row(
      `patch deploy web --subresource=scale --type=merge -p '{"spec":{"replicas":0}}'`,
      /scale.autoscaling\/web patched|deployment.apps\/web patched/,
    ),
    row('patch cm a --patch-file file.yaml', /configmap\/a patched/, {
      files: { 'file.yaml': 'data: {p: "1"}\n' },
    }),
    row(`patch -f - --local --type=merge -p '{"data":{"k":"local"}}' -o yaml`, /k: local/, {
      input: map('a'),
    }),
    row(`patch wd w --type=merge -p '{"spec":{"size":4}}'`, /widget.shop.example.com\/w patched/),
    row(
      `patch wd w -p '{}'`,
      /strategic-merge-patch\+json is not supported by shop.example.com\/v1, Kind=Widget: the body of the request was in an unknown format/,
      { code: 1 },
    ),
    row(
      `patch wd w --subresource=status --type=merge -p '{"status":{"size":4}}'`,
      /widget.shop.example.com\/w patched/,
    ),
    row('label cm a tier=one', /configmap\/a labeled/),
    row('label cm a tier=two', /already has a value|--overwrite is false/, { code: 1 }),
    row('label cm a tier=two --overwrite', /configmap\/a labeled/),
    row('label cm a tier-', /configmap\/a unlabeled/),
    row('label cm --all every=one', /configmap\/a labeled/),
    row('label cm -l app=x more=one --dry-run=server', /configmap\/a labeled \(server dry run\)/),
    row('label cm a --list', /app=x/),
    row('label --resource-version=1 cm a x=y', /Conflict|the object has been modified/, {
      code: 1,
    }),
    row("label cm a 'bad=a b'", /a valid label must be/, { code: 1 }),
    row('annotate cm a note=one', /configmap\/a annotated?$/m),
    row('annotate cm a note=two --overwrite', /configmap\/a annotated?$/m),
    row('annotate cm a note-', /configmap\/a annotated?$/m),
    row('annotate cm a --list', /^$|=/),
    row('scale deploy web --replicas=1', /deployment.apps\/web scaled/),
    row('scale deploy web --current-replicas=5 --replicas=0', /Expected replicas to be 5, was 1/, {
      code: 1,
    }),
    row(
      'scale deploy web --current-replicas=1 --replicas=0 --timeout=20s',
      /deployment.apps\/web scaled/,
    ),
    row('scale wd w --replicas=7', /widget.shop.example.com\/w scaled/),
    row('scale cm a --replicas=1', /could not find the requested resource|NotFound/, { code: 1 }),
    row('set image deploy/web c=hello2', /deployment.apps\/web image updated/),
    row("set image deploy/web '*=hello'", /deployment.apps\/web image updated/),
    row('set env deploy/web B=2 A-', /deployment.apps\/web env updated/),
    row('set env deploy/web --list', /B=2/),
    row('set env deploy/web --from=cm/a --prefix=CM_', /deployment.apps\/web env updated/),
    row(
      'set resources deploy/web --limits=memory=64Mi --requests=cpu=10m',
      /deployment.apps\/web resource requirements updated/,
    ),
    row('set sa deploy/web default', /deployment.apps\/web serviceaccount updated/),
    row('set selector svc/web app=other', /service\/web selector updated/, {
      before: ['create service clusterip web --tcp=80'],
    }),
    row(
      'set subject rolebinding r --user=jane',
      /rolebinding.rbac.authorization.k8s.io\/r subjects updated/,
      {
        before: ['create rolebinding r --clusterrole=view --user=joe'],
      },
    ),
  ],
}

export const rollout: Group = {
  title: 'rollout, wait',
  objects: `${deployment('web')}---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {terminationGracePeriodSeconds: 1, containers: [{name: c, image: hello, command: [sleep, "1000"]}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {terminationGracePeriodSeconds: 1, containers: [{name: c, image: hello, command: [sleep, "1000"]}]}
${map('a')}`,
  rows: [
    row('rollout status deploy/web --timeout=30s', /deployment "web" successfully rolled out/),
    // Before anything is replaced: a pod that goes while kubectl waits for it is an error to it.
    row('wait pod --all --for=condition=Ready --timeout=30s', /condition met/, {
      before: ['rollout status sts/db', 'rollout status ds/agent'],
    }),
    row('set env deploy/web A=1', /env updated/),
    row('rollout status deploy/web --timeout=30s', /deployment "web" successfully rolled out/),
    row('rollout history deploy/web', /REVISION +CHANGE-CAUSE\s+1 +first\s+2 /),
    row('rollout history deploy/web --revision=2', /Environment:\s+A:\s+1/),
    row('rollout undo deploy/web', /deployment.apps\/web rolled back/),
    row('rollout undo deploy/web --to-revision=2', /deployment.apps\/web rolled back/),
    row('rollout undo deploy/web --to-revision=99', /unable to find specified revision 99/, {
      code: 1,
    }),
    row('rollout pause deploy/web', /deployment.apps\/web paused/),
    row('rollout restart deploy/web', /can't restart paused deployment/, { code: 1 }),
    row('rollout resume deploy/web', /deployment.apps\/web resumed/),
    row('rollout restart deploy/web', /deployment.apps\/web restarted/),
    row('rollout status deploy/web --watch=false', /deployment "web"/i),
    row('rollout status sts/db --timeout=30s', /roll ?out complete: 1 (new )?pods/),
    row('rollout status ds/agent --timeout=30s', /daemon set "agent" successfully rolled out/),
    row(
      'rollout restart sts/db ds/agent',
      /statefulset.apps\/db restarted\s+daemonset.apps\/agent restarted/,
    ),
    // The second revision is there once the controller has seen the restart.
    row('rollout history sts/db', /REVISION/, { before: ['rollout status sts/db'] }),
    row('rollout history ds/agent', /REVISION/, { before: ['rollout status ds/agent'] }),
    row('rollout undo ds/agent', /daemonset.apps\/agent rolled back/),
    row('rollout undo sts/db', /statefulset.apps\/db rolled back/),
    row('scale sts db --replicas=0', /statefulset.apps\/db scaled/),
    row(
      'wait deploy/web --for=condition=Available --timeout=30s',
      /deployment.apps\/web condition met/,
    ),
    row(
      'wait deploy/web --for=condition=Available=False --timeout=1ms',
      /timed out waiting for the condition|deadline exceeded/,
      { code: 1 },
    ),
    row(
      "wait deploy/web --for=jsonpath='{.status.readyReplicas}'=1 --timeout=30s",
      /condition met/,
    ),
    row("wait deploy/web --for=jsonpath='{.status.replicas}' --timeout=30s", /condition met/, {
      since: '1.29',
    }),
    row('wait cm/a --for=create --timeout=10s', /condition met/, { since: '1.31' }),
    row('wait cm -l app=x --for=delete --timeout=1ms', /timed out waiting|deadline exceeded/, {
      code: 1,
    }),
    row('wait cm/nobody --for=delete', /^$|not found/i),
    row('wait cm/nobody --for=condition=Ready', /NotFound|not found/, { code: 1 }),
  ],
}

const maps = Array.from({ length: 12 }, (_, i) => map(`m${i}`, `, nth: n${i}`)).join('')
export const remove: Group = {
  title: 'delete',
  objects: `${maps}${['d1', 'd2', 'd3'].map((name) => deployment(name, 0)).join('')}${widget('w')}${deployment('d4')}`,
  rows: [
    row('delete cm m0', /configmap "m0" deleted/),
    row('delete cm m1 m2', /configmap "m1" deleted[^]*configmap "m2" deleted/),
    row('delete cm/m3 wd/w', /configmap "m3" deleted[^]*widget.shop.example.com "w" deleted/),
    row('delete cm -l nth=n4', /configmap "m4" deleted/),
    row('delete cm --field-selector metadata.name=m5', /configmap "m5" deleted/),
    row('delete -f -', /configmap "m6" deleted/, { input: map('m6') }),
    row('delete cm m7 --wait=false -o name', /^configmap\/m7\s/),
    row(
      'delete cm m8 --dry-run=server',
      /configmap "m8" deleted (from \S+ namespace )?\(server dry run\)/,
    ),
    row('delete cm m8 --cascade=background --timeout=10s', /configmap "m8" deleted/),
    row('delete --raw /api/v1/namespaces/$NS/configmaps/m9', /"status":"Success"/),
    row('delete cm nobody', /NotFound/, { code: 1 }),
    row('delete cm nobody --ignore-not-found', /^$/),
    row('delete cm m10 --now', /configmap "m10" deleted/),
    row('delete cm m11 --grace-period=0 --force', /force/),
    row('delete deploy d1 --cascade=foreground', /deployment.apps "d1" deleted/),
    row('delete deploy d2 --cascade=orphan', /deployment.apps "d2" deleted/, {
      after: ['delete rs -l app=d2'],
    }),
    row('delete deploy d4', /deployment.apps "d4" deleted/),
    row('delete pod gone --force', /pod "gone" force deleted/, {
      before: ['run gone --image=hello --command -- sleep 1000'],
    }),
    row('delete pod gone2 --grace-period=1', /pod "gone2" deleted/, {
      before: ['run gone2 --image=hello --command -- sleep 1000'],
    }),
    row('delete deploy,cm --all', /deployment.apps "d3" deleted/),
    row('delete ns $NS-x', /namespace "\S+-x" deleted/, { before: ['create ns $NS-x'] }),
    row('delete cm', /resource\(s\) were provided, but no name was specified/, { code: 1 }),
  ],
}
