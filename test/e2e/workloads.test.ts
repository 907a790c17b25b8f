/**
 * Workloads beside Deployments, with kubectl as people use it: Jobs and CronJobs, a StatefulSet with volumes, quotas, budgets,
 * `kubectl top`, and the walk-through 10 of the book, whose Revision follows its processor use.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { load, startEbb, until, withoutKubectl, type Ebb } from './platform.ts'
import { bookRegistry, manifest, waitReady } from './walkthroughs/walkthrough.ts'

const cronJob = `apiVersion: batch/v1
kind: CronJob
metadata: {name: tick}
spec:
  schedule: "0 0 1 1 *"
  timeZone: Europe/Berlin
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers:
          - {name: c, image: hello, command: [sh, -c, echo tick]}
`

const statefulSet = (image: string) => `apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, selector: {app: db}, ports: [{port: 80}]}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: db}
spec: {minAvailable: 2, selector: {matchLabels: {app: db}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}, annotations: {image: ${image}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: c
        image: hello
        command: [sleep, "1000"]
        volumeMounts: [{name: data, mountPath: /tmp/data}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
`

const limited = `apiVersion: v1
kind: Namespace
metadata: {name: limited}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: small, namespace: limited}
spec: {hard: {pods: "1", requests.cpu: 500m, count/configmaps: "2"}}
---
apiVersion: v1
kind: LimitRange
metadata: {name: usual, namespace: limited}
spec: {limits: [{type: Container, defaultRequest: {cpu: 100m}, max: {cpu: "1"}, default: {cpu: 200m}}]}
`

describe('workloads', { skip: withoutKubectl, concurrency: true }, () => {
  let ebb: Ebb
  before(async () => {
    ebb = await startEbb()
    await Promise.all([
      ebb.build('hello-serverless', 'hello'),
      ebb.build('autoscale-go', `${bookRegistry}/autoscale-go:0.1`),
    ])
  })
  after(async () => {
    await ebb?.[Symbol.asyncDispose]()
  })

  test('Jobs: created, waited for, read, and from a CronJob', async () => {
    await ebb.ok('create', 'job', 'once', '--image=hello', '--', 'sh', '-c', 'echo did it')
    await ebb.ok('wait', '--for=condition=complete', 'job/once', '--timeout=60s')
    assert.equal(await ebb.ok('logs', 'job/once'), 'did it\n')
    assert.match(await ebb.ok('get', 'job', 'once'), /once +Complete +1\/1 /)
    assert.match(
      await ebb.ok('describe', 'job', 'once'),
      /Pods Statuses: +0 Active \(0 Ready\) \/ 1 Succeeded \/ 0 Failed[^]*Completed +\S+ +job-controller +Job completed/,
    )
    await ebb.ok('apply', '-f', await ebb.file('cron.yaml', cronJob))
    assert.match(
      await ebb.ok('get', 'cronjob'),
      /tick +0 0 1 1 \* +Europe\/Berlin +False +0 +<none>/,
    )
    await ebb.ok('create', 'job', '--from=cronjob/tick', 'now')
    await ebb.ok('wait', '--for=condition=complete', 'job/now', '--timeout=60s')
    assert.equal(await ebb.ok('logs', 'job/now'), 'tick\n')
    await ebb.ok(
      'patch',
      'cronjob',
      'tick',
      '--type=merge',
      '-p',
      '{"spec":{"schedule":"@every 1s"}}',
    )
    await until('a Job by the clock', async () =>
      /tick-\d+ +Complete/.test(await ebb.ok('get', 'jobs')),
    )
    await ebb.ok('delete', 'cronjob', 'tick')
    await ebb.ok('delete', 'job', 'once')
    await until(
      'pods go with their Job',
      async () => (await ebb.ok('get', 'pods', '-l', 'job-name=once', '-o', 'name')) === '',
    )
    const wrong = await ebb.kubectl('create', 'cronjob', 'bad', '--image=x', '--schedule=* * *')
    assert.match(
      wrong.stderr,
      /spec\.schedule: Invalid value: "\* \* \*": expected exactly 5 fields, found 3/,
    )
  })

  test('StatefulSet: in order, with volumes, rolled out; its budget holds evictions back', async () => {
    await ebb.ok('apply', '-f', await ebb.file('db.yaml', statefulSet('one')))
    await ebb.ok('rollout', 'status', 'sts/db', '--timeout=60s')
    assert.match(
      await ebb.ok('get', 'sts,pods'),
      /statefulset\.apps\/db +2\/2[^]*pod\/db-0[^]*pod\/db-1/,
    )
    assert.match(await ebb.ok('get', 'pvc'), /data-db-0 +Bound[^]*data-db-1 +Bound/)
    await until('nothing may be missing', async () =>
      /db +2 +N\/A +0 /.test(await ebb.ok('get', 'pdb')),
    )
    const eviction = await ebb.file(
      'eviction.json',
      '{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"db-0","namespace":"default"}}',
    )
    const evicted = await ebb.kubectl(
      'create',
      '--raw=/api/v1/namespaces/default/pods/db-0/eviction',
      '-f',
      eviction,
    )
    assert.match(
      evicted.stderr,
      /Cannot evict pod as it would violate the pod's disruption budget\./,
    )
    await ebb.ok('apply', '-f', await ebb.file('db.yaml', statefulSet('two')))
    await ebb.ok('rollout', 'status', 'sts/db', '--timeout=90s')
    assert.match(await ebb.ok('rollout', 'history', 'sts/db'), /^1 [^]*^2 /m)
    await ebb.ok('scale', 'sts/db', '--replicas=1')
    await until('the second is gone', async () => !(await ebb.ok('get', 'pods')).includes('db-1'))
    await ebb.ok('delete', 'sts,svc,pdb', 'db')
  })

  test('quotas and limits refuse in the words of Kubernetes', async () => {
    await ebb.ok('apply', '-f', await ebb.file('limited.yaml', limited))
    await ebb.ok('-n', 'limited', 'run', 'first', '--image=hello', '--restart=Never')
    const second = await ebb.kubectl('-n', 'limited', 'run', 'second', '--image=hello')
    assert.equal(
      second.stderr,
      'Error from server (Forbidden): pods "second" is forbidden: exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1\n',
    )
    await until('the quota tells what is used', async () =>
      /pods: 1\/1, requests\.cpu: 100m\/500m/.test(await ebb.ok('-n', 'limited', 'get', 'quota')),
    )
    await ebb.ok('-n', 'limited', 'create', 'configmap', 'a')
    const third = await ebb.kubectl('-n', 'limited', 'create', 'configmap', 'b')
    assert.match(
      third.stderr,
      /exceeded quota: small, requested: count\/configmaps=1, used: count\/configmaps=2/,
    )
    assert.match(await ebb.ok('-n', 'limited', 'describe', 'quota'), /pods +1 +1/)
    assert.match(
      await ebb.ok('-n', 'limited', 'describe', 'limits'),
      /Container +cpu +- +1 +100m +200m/,
    )
  })

  test('walk-through 10: the HPA class follows the processor; kubectl top tells what is used', async () => {
    const applied = await ebb.kubectl(
      'apply',
      '-f',
      manifest('10-autoscale-hpa', 'service-hpa.composed.yaml'),
    )
    assert.equal(applied.code, 0, applied.stderr)
    await waitReady(ebb, 'autoscale-go')
    assert.match(
      await ebb.ok('get', 'podautoscaler,hpa'),
      /autoscale-go-00001[^]*horizontalpodautoscaler\.autoscaling\/autoscale-go-00001 +Deployment\/autoscale-go-00001-deployment +cpu: \S+\/280m +1 +3/,
    )
    // With a request as small as this, even a busy machine leaves the pod enough to pass the target.
    const request =
      '[{"op":"add","path":"/spec/template/spec/containers/0/resources","value":{"requests":{"cpu":"20m"}}}]'
    await ebb.ok(
      'patch',
      'service.serving.knative.dev',
      'autoscale-go',
      '--type=json',
      '-p',
      request,
    )
    await until('the new Revision is there', async () =>
      (await ebb.ok('get', 'hpa')).includes('autoscale-go-00002'),
    )
    await waitReady(ebb, 'autoscale-go')
    const host = (
      await ebb.ok('get', 'route', 'autoscale-go', '-o', 'jsonpath={.status.url}')
    ).replace('http://', '')
    let over = false
    const loading = (async () => {
      while (!over)
        await load(ebb, host, { path: '/?prime=1000000', workers: 4, durationMs: 2_000 })
    })()
    try {
      await until(
        'more pods',
        async () =>
          /New size: [23]; reason: cpu resource utilization \(percentage of request\) above target/.test(
            await ebb.ok('get', 'events'),
          ),
        90_000,
      )
      const top = await ebb.ok(
        'top',
        'pod',
        '--containers',
        '-l',
        'serving.knative.dev/service=autoscale-go',
      )
      assert.match(top, /autoscale-go-00002-deployment-\S+ +user-container +[1-9]\d*m +\d+Mi/)
    } finally {
      over = true
      await loading
    }
    assert.match(await ebb.ok('top', 'node'), /\S+ +\d+m +\d+% +\d+Mi +\d+%/)
    assert.match(await ebb.ok('describe', 'hpa'), /ScalingActive +True +ValidMetricFound/)
    assert.match(await ebb.ok('get', 'hpa.v1.autoscaling', '-o', 'name'), /autoscale-go-00001/)
  })

  test('kinds that are only kept say so, and Events have two names', async () => {
    const policy = await ebb.file(
      'policy.yaml',
      'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: shut}\nspec: {podSelector: {}}\n',
    )
    const made = await ebb.kubectl('apply', '-f', policy)
    assert.match(made.stderr, /Warning: NetworkPolicy objects are kept, but not enforced here/)
    assert.match(await ebb.ok('get', 'priorityclasses'), /system-node-critical +2000001000 +false/)
    assert.match(await ebb.ok('get', 'events.events.k8s.io', '-o', 'yaml'), /regarding:/)
  })
})
