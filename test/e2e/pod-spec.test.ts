/**
 * What a pod says of its containers is what they see: one rich Pod and one rich Knative Service from an image FROM scratch,
 * and a plain process that asks the API server with the credentials of its account.
 */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { staticBusybox } from './dockerd.ts'
import { configure, startEbb, until, withoutKubectl, type Ebb } from './platform.ts'

const busybox = await staticBusybox()
const skip =
  withoutKubectl ||
  (process.getuid?.() !== 0 && 'owners and mounts of volumes take root') ||
  (!busybox && 'there is no static busybox')
const tools = 'sh cat df env hostname httpd id ls sleep stat touch wget'.split(' ')

const rich = `
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {color: blue}
---
apiVersion: v1
kind: Secret
metadata: {name: secret}
stringData: {password: hunter2}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: rich, annotations: {note: first}}
spec:
  hostname: box
  subdomain: sub
  terminationGracePeriodSeconds: 1
  hostAliases: [{ip: 192.0.2.1, hostnames: [elsewhere]}]
  securityContext: {runAsUser: 1000, runAsGroup: 3000, fsGroup: 2000, runAsNonRoot: true}
  initContainers:
  - name: first
    image: dev.local/box
    command: [sh, -c, echo prepared > /scratch/first]
    volumeMounts: [{name: scratch, mountPath: /scratch}]
  - {name: beside, image: dev.local/box, restartPolicy: Always, command: [sleep, '1000']}
  containers:
  - name: main
    image: dev.local/box
    command: [sh, -c]
    args: ["echo 'color $(COLOR), $$(COLOR) as written'; while :; do sleep 1; done"]
    env:
    - {name: COLOR, valueFrom: {configMapKeyRef: {name: settings, key: color}}}
    - {name: PASSWORD, valueFrom: {secretKeyRef: {name: secret, key: password}}}
    - {name: ABSENT, valueFrom: {secretKeyRef: {name: secret, key: none, optional: true}}}
    - {name: ME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: MEMORY, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}
    envFrom: [{prefix: FROM_, configMapRef: {name: settings}}]
    resources: {limits: {cpu: 500m, memory: 64Mi}}
    lifecycle: {postStart: {exec: {command: [sh, -c, echo hooked > /scratch/hook]}}}
    startupProbe: {exec: {command: [cat, /scratch/hook]}, periodSeconds: 1, timeoutSeconds: 10}
    volumeMounts:
    - {name: scratch, mountPath: /scratch}
    - {name: memory, mountPath: /memory}
    - {name: files, mountPath: /files}
    - {name: files, mountPath: /one, subPath: color}
    - {name: data, mountPath: /data, subPathExpr: of-$(ME)}
    - {name: host, mountPath: /host}
  volumes:
  - {name: scratch, emptyDir: {}}
  - {name: memory, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
  - name: files
    projected:
      sources:
      - configMap: {name: settings}
      - secret: {name: secret, items: [{key: password, path: deep/password, mode: 0400}]}
      - configMap: {name: nobody, optional: true}
      - downwardAPI: {items: [{path: note, fieldRef: {fieldPath: "metadata.annotations['note']"}}]}
      - serviceAccountToken: {path: vault, audience: vault}
  - {name: data, persistentVolumeClaim: {claimName: data}}
  - {name: host, hostPath: {path: /etc, type: Directory}}
---
apiVersion: v1
kind: Pod
metadata: {name: parting}
spec:
  restartPolicy: Never
  containers:
  - {name: c, image: dev.local/box, command: [sh, -c, 'echo goodbye > /dev/termination-log; exit 3']}
---
apiVersion: v1
kind: Pod
metadata: {name: root}
spec:
  securityContext: {runAsNonRoot: true}
  containers: [{name: c, image: dev.local/box, command: [sleep, '1000']}]
---
apiVersion: v1
kind: Pod
metadata: {name: typed}
spec:
  containers:
  - {name: c, image: dev.local/box, command: [sleep, '1000'], volumeMounts: [{name: v, mountPath: /v}]}
  volumes: [{name: v, hostPath: {path: /etc, type: File}}]
`

const account = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, name: reader}]
---
apiVersion: v1
kind: Pod
metadata: {name: client}
spec:
  serviceAccountName: reader
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: dev.local/hello, ports: [{containerPort: 8080}]}]
`

const client = `
const { readFileSync: read } = require('fs')
const folder = '/var/run/secrets/kubernetes.io/serviceaccount/'
const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = process.env
const headers = { authorization: 'Bearer ' + read(folder + 'token', 'utf8') }
const ask = (path) => require('https').get({ host, port, path, headers, ca: read(folder + 'ca.crt') },
  (answer) => { answer.resume(); console.log(path, answer.statusCode) }).on('error', console.log)
const namespace = read(folder + 'namespace', 'utf8')
ask('/api/v1/namespaces/' + namespace + '/pods')
ask('/api/v1/namespaces/' + namespace + '/secrets')
`

const service = (claim: string) => `
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: web}
spec:
  template:
    metadata: {annotations: {autoscaling.knative.dev/min-scale: '1'}}
    spec:
      timeoutSeconds: 1 # httpd does not hear SIGTERM as the first process
      initContainers:
      - {name: seed, image: dev.local/box, command: [sh, -c, echo seeded > /www/scratch/seed], volumeMounts: [{name: scratch, mountPath: /www/scratch}]}
      containers:
      - image: dev.local/box
        command: [sh, -c, 'exec httpd -f -p $(PORT) -h /www']
        ports: [{containerPort: 8080}]
        volumeMounts:
        - {name: settings, mountPath: /www/settings}
        - {name: scratch, mountPath: /www/scratch}
        - {name: data, mountPath: /www/data, readOnly: true}
        - {name: host, mountPath: /www/host, readOnly: true}
      volumes:
      - {name: settings, configMap: {name: settings}}
      - {name: scratch, emptyDir: {}}
      - {name: data, persistentVolumeClaim: {claimName: ${claim}, readOnly: true}}
      - {name: host, hostPath: {path: /etc}}
`

describe('the pod spec', { skip }, () => {
  let ebb: Ebb
  let box: string
  before(async () => {
    box = await mkdtemp(join(tmpdir(), 'ebb-box-'))
    await mkdir(join(box, 'root', 'bin'), { recursive: true })
    await writeFile(join(box, 'root', 'bin', 'busybox'), busybox ?? '', { mode: 0o755 })
    for (const tool of tools) await symlink('busybox', join(box, 'root', 'bin', tool))
    await writeFile(join(box, 'Dockerfile'), 'FROM scratch\nCOPY root/ /\nENV PATH=/bin\n')
    ebb = await startEbb()
    const built = await ebb.ebb('build', box, '--tag', 'dev.local/box')
    assert.equal(built.code, 0, built.stderr)
    await ebb.build('helloworld-nodejs', 'dev.local/hello')
    await ebb.ok('apply', '-f', await ebb.file('rich.yaml', rich))
  })
  after(async () => {
    await ebb?.[Symbol.asyncDispose]()
    await rm(box, { recursive: true, force: true })
  })
  const inside = (line: string) => ebb.ok('exec', 'rich', '-c', 'main', '--', 'sh', '-c', line)

  test('a container sees what its pod says', async () => {
    await ebb.ok('wait', '--for=condition=Ready', 'pod/rich', '--timeout=60s')
    assert.equal(await inside('id -u; id -g; id -G; hostname'), '1000\n3000\n3000 2000\nbox\n')
    assert.equal(
      await inside('echo $COLOR $PASSWORD $ME $MEMORY $FROM_color ${ABSENT-none}'),
      'blue hunter2 rich 64 blue none\n',
    )
    assert.match(
      await ebb.ok('logs', 'rich', '-c', 'main'),
      /^color blue, \$\(COLOR\) as written$/m,
    )
    const hosts = await inside('cat /etc/hosts')
    assert.match(hosts, /\tbox\.sub\.default\.svc\.cluster\.local\tbox$/m)
    assert.match(hosts, /^192\.0\.2\.1\telsewhere$/m)
    assert.equal(await inside('cat /scratch/first /scratch/hook'), 'prepared\nhooked\n')
    assert.equal(await inside('cat /files/color /one /files/note'), 'bluebluefirst')
    assert.equal(
      await inside('cat /files/deep/password; stat -Lc " %a %g" /files/deep/password'),
      'hunter2 440 2000\n',
    )
    assert.match(await inside('df /memory'), /\b1024\b/)
    assert.equal(await inside('touch /files/x 2>/dev/null || echo refused'), 'refused\n')
    assert.match(await inside('cat /files/vault'), /^[\w-]+\.[\w-]+\.[\w-]+$/)
    assert.match(await inside('ls /host'), /^hosts$/m)
    await inside('echo kept > /data/file')
    assert.equal(
      await ebb.ok('get', 'pod', 'rich', '-o', 'jsonpath={.status.qosClass}'),
      'Burstable',
    )
  })

  test('changes reach its files at once, but not parts that were mounted by themselves', async () => {
    await ebb.ok('patch', 'configmap', 'settings', '--type=merge', '-p', '{"data":{"color":"red"}}')
    await ebb.ok('annotate', 'pod', 'rich', 'note=second', '--overwrite')
    await until('both files have changed', async () => {
      const seen = await inside('cat /files/color /files/note /one')
      return seen === 'redsecondblue'
    })
  })

  test('what a container can not be is said in the words of Kubernetes', async () => {
    const parting = await until('the pod has ended', async () => {
      const path =
        'jsonpath={.status.phase} {.status.containerStatuses[0].state.terminated.message}'
      const seen = await ebb.ok('get', 'pod', 'parting', '-o', path)
      return seen.startsWith('Failed') && seen
    })
    assert.equal(parting, 'Failed goodbye\n')
    const events = async (pod: string) =>
      await ebb.ok('get', 'events', '--field-selector', `involvedObject.name=${pod}`)
    await until('the one as root is refused', async () =>
      (await events('root')).includes('container has runAsNonRoot and image will run as root'),
    )
    await until('a folder is no file', async () =>
      (await events('typed')).includes('hostPath type check failed: /etc is not a file'),
    )
  })

  test('a program in a pod asks the API server with the rights of its account', async () => {
    await ebb.ok('apply', '-f', await ebb.file('account.yaml', account))
    await ebb.ok('wait', '--for=condition=Ready', 'pod/client', '--timeout=60s')
    const seen = await ebb.ok('exec', 'client', '--', 'node', '-e', client)
    assert.deepEqual(seen.trim().split('\n').toSorted(), [
      '/api/v1/namespaces/default/pods 200',
      '/api/v1/namespaces/default/secrets 403',
    ])
    const volumes = await ebb.ok('get', 'pod', 'client', '-o', 'jsonpath={.spec.volumes[*].name}')
    assert.match(volumes, /^kube-api-access-[a-z0-9]{5}$/)
  })

  test('a Knative Service gets what its feature flags allow', async () => {
    const file = await ebb.file('service.yaml', service('data'))
    const refused = await ebb.kubectl('apply', '-f', file)
    for (const message of [
      'pod spec support for init-containers is off, but found 1 init containers',
      'Persistent volume claim support is disabled, but found persistent volume claim data',
      'HostPath volume support is disabled, but found HostPath volume host',
    ])
      assert.ok(refused.stderr.includes(message), `${message}\n${refused.stderr}`)
    await configure(ebb, 'config-features', {
      'kubernetes.podspec-init-containers': 'enabled',
      'kubernetes.podspec-persistent-volume-claim': 'enabled',
      'kubernetes.podspec-volumes-hostpath': 'enabled',
    })
    await until('the flags hold', async () => (await ebb.kubectl('apply', '-f', file)).code === 0)
    await ebb.ok('wait', '--for=condition=Ready', 'ksvc/web', '--timeout=60s')
    const url = await ebb.ok('get', 'ksvc', 'web', '-o', 'jsonpath={.status.url}')
    const get = async (path: string) => (await ebb.get(new URL(url).host, path)).body
    assert.equal(await get('/settings/color'), 'red')
    assert.equal(await get('/scratch/seed'), 'seeded\n')
    assert.equal(await get('/data/of-rich/file'), 'kept\n')
    assert.match(await get('/host/hosts'), /localhost/)
    assert.equal(
      await inside('wget -qO- http://web.default.svc.cluster.local/scratch/seed'),
      'seeded\n',
    )
    assert.equal(await inside('wget -qO- http://web.default/settings/color'), 'red')
    await ebb.ok(
      'patch',
      'configmap',
      'settings',
      '--type=merge',
      '-p',
      '{"data":{"color":"green"}}',
    )
    await until(
      'the service shows the change',
      async () => (await get('/settings/color')) === 'green',
    )
    const names = (kind: string) =>
      ebb.ok(
        'get',
        kind,
        '-l',
        'serving.knative.dev/service=web',
        '-o',
        'jsonpath={.items[0].spec.volumes[*].name}',
      )
    assert.match(await names('pod'), /kube-api-access-/)
    assert.doesNotMatch(await names('revision'), /kube-api-access-/)
  })

  test('a claim goes when its last pod has gone', async () => {
    await ebb.ok('delete', 'pvc', 'data', '--wait=false')
    assert.match(await ebb.ok('get', 'pvc', 'data'), /Terminating/)
    await ebb.ok('delete', 'ksvc/web', 'pod/rich', '--wait=false')
    await until('claim and volume are gone', async () => {
      const left = await ebb.ok('get', 'pvc,pv', '-o', 'name')
      return left === ''
    })
  })
})
