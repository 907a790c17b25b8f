/**
 * Stock clients do to Ebb what they do to Knative on Kubernetes: kubectl, several versions (all its commands: matrix.test.ts),
 * and @kubernetes/client-node.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
import {
  ApiException,
  AppsV1Api,
  CoreV1Api,
  CustomObjectsApi,
  KubeConfig,
  KubernetesObjectApi,
  makeInformer,
  PatchStrategy,
  setHeaderOptions,
  type KubernetesObject,
  type V1ConfigMap,
  type V1Status,
} from '@kubernetes/client-node'
import { appDir, kubectls, startEbb, until, withoutKubectl, type Ebb } from './platform.ts'

const oldestToNewest = kubectls()
/** Every second version: 1.27, 1.29, 1.31, 1.33. */
const versions = oldestToNewest.filter((_, i) => i % 2 === 0)
const newest = oldestToNewest.at(-1) ?? 'kubectl'

const header = (table: string) => table.split('\n')[0]?.trim().split(/ {2,}/)

describe('kubectl', { skip: withoutKubectl }, () => {
  let ebb: Ebb
  before(async () => {
    ebb = await startEbb()
    const deployed = await ebb.ebb('deploy', appDir('hello-serverless'), '--name', 'hello')
    assert.equal(deployed.code, 0, deployed.stderr)
    // However long all this takes, there are pods to look at.
    const always = 'autoscaling.knative.dev/min-scale=1'
    await ebb.ok('annotate', 'revision', 'hello-00001', always)
  })
  after(() => ebb[Symbol.asyncDispose]())

  for (const binary of versions) {
    const version = /1\.\d+$/.exec(binary)?.[0] ?? ''
    const name = `v${version.replace('.', '-')}`
    const ok = async (args: readonly string[], input?: string) => {
      const ran = await ebb.kubectlWith(binary, args, input)
      assert.equal(ran.code, 0, `kubectl ${args.join(' ')}: ${ran.stderr || ran.stdout}`)
      return ran.stdout
    }

    describe(version, () => {
      test('get: the columns of the contract', async () => {
        const columns: Record<string, readonly string[]> = {
          ksvc: ['NAME', 'URL', 'LATESTCREATED', 'LATESTREADY', 'READY', 'REASON'],
          configuration: ['NAME', 'LATESTCREATED', 'LATESTREADY', 'READY', 'REASON'],
          revision: [
            'NAME',
            'CONFIG NAME',
            'GENERATION',
            'READY',
            'REASON',
            'ACTUAL REPLICAS',
            'DESIRED REPLICAS',
          ],
          route: ['NAME', 'URL', 'READY', 'REASON'],
          podautoscaler: ['NAME', 'DESIREDSCALE', 'ACTUALSCALE', 'READY', 'REASON'],
          deployment: ['NAME', 'READY', 'UP-TO-DATE', 'AVAILABLE', 'AGE'],
          replicaset: ['NAME', 'DESIRED', 'CURRENT', 'READY', 'AGE'],
        }
        for (const [kind, expected] of Object.entries(columns))
          assert.deepEqual(header(await ok(['get', kind])), expected, kind)
        assert.deepEqual(header(await ok(['get', 'pods', '-A'])), [
          'NAMESPACE',
          'NAME',
          'READY',
          'STATUS',
          'RESTARTS',
          'AGE',
        ])
        assert.match(
          await ok(['get', 'ksvc', 'hello']),
          /http:\/\/hello\.default\.localhost:\d+ +hello-00001 +hello-00001 +True/,
        )
        assert.match(
          await ok(['get', 'ksvc,configuration,revision,route,deployment,pod']),
          /service\.serving\.knative\.dev\/hello/,
        )
        assert.match(await ok(['get', 'all']), /service\.serving\.knative\.dev\/hello/)
        assert.match(await ok(['get', 'deploy', '-o', 'wide']), /user-container/)
        assert.match(await ok(['get', 'ksvc', 'hello', '-o', 'yaml']), /kind: Service/)
        assert.equal(
          await ok([
            'get',
            'ksvc',
            'hello',
            '-o',
            "jsonpath={.status.conditions[?(@.type=='Ready')].status}",
          ]),
          'True',
        )
        assert.equal(
          await ok(['get', 'ksvc', 'hello', '-o', 'custom-columns=N:.metadata.name']),
          'N\nhello\n',
        )
        assert.match(
          await ok(['get', 'revision', '--sort-by=.metadata.creationTimestamp', '--show-labels']),
          /serving\.knative\.dev\/service=hello/,
        )
      })

      test('apply, diff, edit, delete with each cascade on Knative kinds', async () => {
        const manifest = (value: string) =>
          `apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata:\n  name: ${name}\nspec:\n  template:\n    spec:\n      containers:\n        - image: dev.local/hello-serverless\n          env:\n            - name: A\n              value: "${value}"\n`
        assert.match(await ok(['apply', '-f', '-'], manifest('1')), /created/)
        // kubectl says `configured`, as against Knative (the defaulted list differs from the file), but nothing changes.
        await ok(['apply', '-f', '-'], manifest('1'))
        assert.equal(await ok(['get', 'ksvc', name, '-o', 'jsonpath={.metadata.generation}']), '1')
        const diff = await ebb.kubectlWith(binary, ['diff', '-f', '-'], manifest('2'))
        assert.equal(diff.code, 1, diff.stderr)
        assert.match(diff.stdout, /\+ +value: "2"/)
        assert.match(await ok(['apply', '-f', '-'], manifest('2')), /configured/)
        await ok(['wait', `ksvc/${name}`, '--for=condition=Ready', '--timeout=55s'])
        assert.equal(
          await ok(['get', 'ksvc', name, '-o', 'jsonpath={.status.latestReadyRevisionName}']),
          `${name}-00002`,
        )
        await ok(['edit', 'ksvc', name])
        const strategic = await ebb.kubectlWith(binary, [
          'patch',
          'ksvc',
          name,
          '--type=strategic',
          '-p',
          '{}',
        ])
        assert.equal(strategic.code, 1)
        const scaled = await ebb.kubectlWith(binary, ['scale', `ksvc/${name}`, '--replicas=2'])
        assert.equal(scaled.code, 1)
        await ok(['delete', 'ksvc', name, '--cascade=background'])
        await until(
          'dependents are collected',
          async () =>
            !(await ok(['get', 'revision,deployment,pod', '-o', 'name'])).includes(`/${name}-`),
        )
        await ok(['create', '-f', '-'], manifest('3'))
        await until('the configuration is there', async () =>
          (await ok(['get', 'configuration', '-o', 'name'])).includes(`/${name}\n`),
        )
        await ok(['delete', 'ksvc', name, '--cascade=orphan'])
        assert.match(await ok(['get', 'configuration', name, '-o', 'name']), new RegExp(name))
        await ok(['delete', 'configuration,route', name, '--ignore-not-found'])
      })

      test('refusals read as Knative and Kubernetes write them', async () => {
        const refuse = async (input: string, expected: RegExp) => {
          const ran = await ebb.kubectlWith(binary, ['apply', '-f', '-'], input)
          assert.equal(ran.code, 1)
          assert.match(ran.stderr, expected)
        }
        const service = (template: string) =>
          `apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata:\n  name: bad\nspec:\n  template:\n${template}`
        await refuse(
          service(
            '    metadata:\n      annotations:\n        autoscaling.knative.dev/min-scale: "-1"\n    spec:\n      containers:\n        - image: img\n',
          ),
          /validation failed: expected 0 <= -1 <= 2147483647: spec\.template\.metadata\.annotations\.autoscaling\.knative\.dev\/min-scale/,
        )
        await refuse(
          service('    spec:\n      containers:\n        - env: []\n'),
          /missing field\(s\): spec\.template\.spec\.containers\[0\]\.image/,
        )
        await refuse(
          service('    spec:\n      containers:\n        - image: img\n          stdin: true\n'),
          /unknown field "spec\.template\.spec\.containers\[0\]\.stdin"/,
        )
        const missing = await ebb.kubectlWith(binary, ['get', 'ksvc', 'nobody'])
        assert.equal(
          missing.stderr,
          'Error from server (NotFound): services.serving.knative.dev "nobody" not found\n',
        )
      })
    })
  }

  test('logs -f follows a container to its end', async () => {
    const pods = () =>
      ebb.ok('get', 'pods', '-l', 'serving.knative.dev/service=greeter', '-o', 'name')
    await ebb.ebb('deploy', appDir('helloworld-go'), '--name', 'greeter')
    await ebb.get('greeter.default.localhost')
    const pod = (await pods()).trim()
    const child = spawn(newest, ['logs', '-f', pod, '-c', 'user-container'], {
      env: { ...process.env, KUBECONFIG: ebb.kubeconfig },
    })
    let seen = ''
    child.stdout.on('data', (chunk: Buffer) => (seen += chunk))
    const ended = new Promise((resolve) => child.once('exit', resolve))
    await until('the start is seen', () => seen.includes('Hello world sample started.'))
    await ebb.get('greeter.default.localhost')
    await until('the request is seen', () => seen.split('received a request').length >= 3)
    assert.match(
      await ebb.ok('logs', pod, '-c', 'user-container', '--tail=1', '--timestamps'),
      /^\d{4}-\d\d-\d\dT[\d:.]+Z \d{4}-/,
    )
    await ebb.ok('delete', 'ksvc', 'greeter')
    await ended
  })

  test('@kubernetes/client-node: objects of all sorts, patches, errors, informers, logs', async () => {
    const config = new KubeConfig()
    config.loadFromFile(ebb.kubeconfig)
    const core = config.makeApiClient(CoreV1Api)
    const apps = config.makeApiClient(AppsV1Api)
    const custom = config.makeApiClient(CustomObjectsApi)
    const anything = KubernetesObjectApi.makeApiClient(config)
    const namespace = 'default'
    const as = (strategy: string) => setHeaderOptions('Content-Type', strategy)

    // An informer of a kind of each sort: what is there, what comes, what goes.
    const seen: string[] = []
    const list = () => core.listNamespacedConfigMap({ namespace, labelSelector: 'by=client-node' })
    const path = `/api/v1/namespaces/${namespace}/configmaps`
    const informer = makeInformer(config, path, list, 'by=client-node')
    for (const verb of ['add', 'update', 'delete'] as const)
      informer.on(verb, ({ metadata, data }: V1ConfigMap) =>
        seen.push(`${verb} ${metadata?.name} ${data?.['k']}`),
      )
    await informer.start()
    try {
      const metadata = { name: 'from-node', labels: { by: 'client-node' } }
      await core.createNamespacedConfigMap({ namespace, body: { metadata, data: { k: '1' } } })
      const target = { name: 'from-node', namespace }
      const patches: readonly (readonly [string, object])[] = [
        [PatchStrategy.MergePatch, { data: { k: '2' } }],
        [PatchStrategy.StrategicMergePatch, { data: { k: '3' } }],
        [PatchStrategy.JsonPatch, [{ op: 'replace', path: '/data/k', value: '4' }]],
        [
          PatchStrategy.ServerSideApply,
          { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { k: '5' } },
        ],
      ]
      for (const [strategy, body] of patches)
        await core.patchNamespacedConfigMap(
          {
            ...target,
            body,
            fieldManager: 'client-node',
            ...(strategy === PatchStrategy.ServerSideApply && { force: true }),
          },
          as(strategy),
        )
      await until('the informer has seen all', () => seen.includes('update from-node 5'))
      assert.equal(informer.get('from-node', namespace)?.data?.['k'], '5')
      await core.deleteNamespacedConfigMap(target)
      await until('the informer has seen the end', () => seen.at(-1) === 'delete from-node 5')
    } finally {
      await informer.stop()
    }

    // Refusals: the code, and the Status as the body.
    const refused = async (call: Promise<unknown>, code: number, reason: string) => {
      const error = await call.then(
        () => assert.fail(`expected ${reason}`),
        (thrown: unknown) => thrown,
      )
      assert.ok(error instanceof ApiException, String(error))
      assert.equal(error.code, code)
      const status = JSON.parse(String(error.body)) as V1Status
      assert.deepEqual([status.kind, status.code, status.reason], ['Status', code, reason])
    }
    await refused(core.readNamespacedPod({ name: 'nobody', namespace }), 404, 'NotFound')
    const taken = { metadata: { name: 'kube-root-ca.crt' } }
    await refused(core.createNamespacedConfigMap({ namespace, body: taken }), 409, 'AlreadyExists')
    const bad = { metadata: { name: 'Bad_Name' } }
    await refused(core.createNamespacedConfigMap({ namespace, body: bad }), 422, 'Invalid')
    const service = await custom.getNamespacedCustomObject({
      group: 'serving.knative.dev',
      version: 'v1',
      namespace,
      plural: 'services',
      name: 'hello',
    })
    assert.equal((service as KubernetesObject).kind, 'Service')
    await refused(
      anything.replace({
        ...(service as KubernetesObject),
        metadata: { name: 'hello', namespace, resourceVersion: '1' },
      }),
      409,
      'Conflict',
    )

    // A Knative Service by the generic client, and what came of it by the typed ones.
    const made = await anything.create({
      apiVersion: 'serving.knative.dev/v1',
      kind: 'Service',
      metadata: { name: 'by-node', namespace },
      spec: { template: { spec: { containers: [{ image: 'dev.local/hello-serverless' }] } } },
    } as KubernetesObject)
    assert.equal(made.metadata?.generation, 1)
    const names = async () =>
      (await apps.listNamespacedDeployment({ namespace })).items.map((each) => each.metadata?.name)
    await until('its Deployment', async () => (await names()).includes('by-node-00001-deployment'))
    const pods = () =>
      core.listNamespacedPod({ namespace, labelSelector: 'serving.knative.dev/service=by-node' })
    const pod = await until('its pod runs', async () =>
      (await pods()).items.find(({ status }) => status?.phase === 'Running'),
    )
    const container = 'user-container'
    const name = pod.metadata?.name ?? ''
    assert.equal(typeof (await core.readNamespacedPodLog({ name, namespace, container })), 'string')
    await anything.delete(made)
    await until('all of it is gone', async () => (await pods()).items.length === 0)
  })
})
