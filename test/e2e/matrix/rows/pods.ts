/** What looks into pods: logs, exec, attach, cp, port-forward, proxy, debug. */
import { pod } from '../objects.ts'
import { row, type Group } from '../row.ts'

export const logs: Group = {
  title: 'logs',
  shared: true,
  rows: [
    row('logs logger', /^line 1\nline 2\nline 3\nline 4\n$/),
    row('logs logger -c c --tail=1', /^line 4\n$/),
    row('logs logger --limit-bytes=6', /^line 1$/),
    row('logs logger --timestamps --tail=1', /^\d{4}-\d\d-\d\dT[\d:.]+Z line 4\n$/),
    row('logs logger --since=1h', /line 1/),
    row('logs logger --since-time=2020-01-01T00:00:00Z', /line 1/),
    row('logs -f logger --tail=2', /^line 3\nline 4\n/, { follows: {} }),
    row('logs twice --previous', /^before\n$/),
    row('logs -l app=logger --prefix --tail=1', /^\[pod\/logger\/c\] line 4\n$/),
    row('logs logger --all-containers', /line 4/),
    row('logs -l app=logger -f --max-log-requests=2', /line 4/, { follows: {} }),
    row('logs deploy/web', /^$/),
    row('logs job/once', /^done once\n$/),
    row('logs job/once -f --pod-running-timeout=20s', /^done once\n$/),
    row('logs logger --ignore-errors', /line 4/),
    row('logs logger --insecure-skip-tls-verify-backend', /line 4/),
    row('logs logger -c zz', /container zz is not valid for pod logger/, { code: 1 }),
    row('logs nobody', /NotFound/, { code: 1 }),
    row('logs logger --previous', /previous terminated container "c" in pod "logger" not found/, {
      code: 1,
    }),
  ],
}

export const streams: Group = {
  title: 'exec, attach, cp, port-forward, proxy, debug',
  objects: `${pod('idle', ['sleep', '1000'])}${pod('cat', ['cat']).replace('image: hello', 'image: hello\n    stdin: true')}---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: hello, ports: [{containerPort: 8080, name: http}]}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}
`,
  ready: ['--for=condition=Ready pod --all --timeout=60s'],
  rows: [
    row('exec idle -- echo out', /^out\n$/),
    row(
      "exec idle -c c -- sh -c 'echo err >&2; exit 3'",
      /err[^]*command terminated with exit code 3/,
      { code: 3 },
    ),
    row('exec -i idle -- cat', /^typed\n$/, { input: 'typed\n' }),
    row('exec -it idle -- sh', /a2b/, { typed: 'echo a$((1+1))b; exit\n' }),
    row('exec svc/web -- echo by-service', /by-service/),
    row('exec -f pod.yaml -- echo by-file', /by-file/, {
      files: {
        'pod.yaml':
          'apiVersion: v1\nkind: Pod\nmetadata: {name: idle}\nspec: {containers: [{name: c}]}\n',
      },
    }),
    row('exec nobody -- true', /NotFound/, { code: 1 }),
    row('attach cat -i', /typed/, { input: 'typed\n', follows: {} }),
    row('attach idle --pod-running-timeout=5s', /If you don't see a command prompt|^$/, {
      follows: { first: /^/ },
    }),
    row('cp file.txt idle:$DIR/copied', /^$/, { files: { 'file.txt': 'carried' } }),
    row('cp idle:$DIR/copied back', /^$|removing leading/i, {
      after: ['exec idle -- grep carried $DIR/work/back'],
    }),
    row('cp folder $NS/idle:$DIR/other -c c', /^$/, {
      files: { 'folder/x': '1' },
      after: ['exec idle -- test -e $DIR/other/x'],
    }),
    row('port-forward pod/web :8080', /Forwarding from 127\.0\.0\.1:(\d+) -> 8080/, {
      serves: { path: '/', says: /Hello Serverless/ },
    }),
    row('port-forward svc/web :80', /Forwarding from 127\.0\.0\.1:(\d+) -> 8080/, {
      serves: { path: '/', says: /Hello Serverless/ },
    }),
    row('proxy --port=0', /Starting to serve on 127\.0\.0\.1:(\d+)/, {
      serves: { path: '/api/v1/namespaces/$NS/services/web/proxy/', says: /Hello Serverless/ },
    }),
    row('proxy --port=0 --www=. --www-prefix=/files/', /Starting to serve on 127\.0\.0\.1:(\d+)/, {
      files: { 'page.txt': 'a page' },
      serves: { path: '/files/page.txt', says: /a page/ },
    }),
    row('get --raw /api/v1/namespaces/$NS/pods/web:8080/proxy/', /Hello Serverless/),
    row('debug idle --image=hello -c look --target=c -- true', /^$|Targeting container/),
    row('debug -it idle --image=hello -c shell -- sh', /a2b/, { typed: 'echo a$((1+1))b; exit\n' }),
    row(
      'debug idle --copy-to=copy --image=hello -c extra -- true',
      /^$|Creating|legacy is deprecated/,
    ),
    row(
      'debug idle --copy-to=copy2 --set-image=*=hello --share-processes',
      /^$|Creating|legacy is deprecated/,
    ),
    row('debug node/$NODE --image=hello -- true', /Creating debugging pod node-debugger-/),
  ],
}
