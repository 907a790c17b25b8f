/** Stock kubectl, several versions, does to Ebb what it does to Kubernetes. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
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

      test('create, label, annotate, patch, edit, scale, diff, delete on built-in kinds', async () => {
        await ok([
          'create',
          'deployment',
          name,
          '--image=dev.local/hello-serverless',
          '--replicas=0',
        ])
        await ok(['label', 'deployment', name, 'tier=test'])
        await ok(['annotate', 'deployment', name, 'note=one'])
        await ok([
          'patch',
          'deployment',
          name,
          '-p',
          '{"spec":{"template":{"spec":{"containers":[{"name":"hello-serverless","env":[{"name":"A","value":"1"}]}]}}}}',
        ])
        await ok([
          'patch',
          'deployment',
          name,
          '--type=merge',
          '-p',
          '{"metadata":{"labels":{"more":"yes"}}}',
        ])
        await ok([
          'patch',
          'deployment',
          name,
          '--type=json',
          '-p',
          '[{"op":"add","path":"/metadata/labels/json","value":"yes"}]',
        ])
        assert.equal(
          await ok([
            'get',
            'deployment',
            name,
            '-o',
            'jsonpath={.metadata.labels.tier} {.metadata.labels.more} {.metadata.labels.json} {.spec.template.spec.containers[0].env[0].value}',
          ]),
          'test yes yes 1',
        )
        await ok(['scale', 'deployment', name, '--replicas=1'])
        await ok(['rollout', 'status', `deployment/${name}`, '--timeout=20s'])
        await ok(['scale', 'deployment', name, '--replicas=0'])
        await ok(['delete', 'deployment', name, '--cascade=foreground'])
        assert.equal(
          await ok([
            'get',
            'deployment',
            '--field-selector',
            `metadata.name=${name}`,
            '-o',
            'name',
          ]),
          '',
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
        await ok(['wait', `ksvc/${name}`, '--for=condition=Ready', '--timeout=20s'])
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

      test('describe, explain, api-resources, events, version, auth', async () => {
        assert.match(await ok(['describe', 'ksvc', 'hello']), /Created Configuration "hello"/)
        const pod = (
          await ok(['get', 'pods', '-l', 'serving.knative.dev/service=hello', '-o', 'name'])
        ).trim()
        if (pod) assert.match(await ok(['describe', pod.split('\n')[0] ?? pod]), /user-container/)
        assert.match(await ok(['describe', 'node']), /Ready/)
        assert.match(await ok(['explain', 'ksvc.spec.template.spec.containers']), /image/)
        assert.match(await ok(['explain', 'deployment.spec.replicas']), /integer/)
        assert.match(await ok(['api-resources']), /ksvc +serving\.knative\.dev\/v1 +true +Service/)
        assert.match(await ok(['api-versions']), /serving\.knative\.dev\/v1\n/)
        assert.match(await ok(['get', 'events']), /Created/)
        assert.match(await ok(['version']), /Server Version/)
        assert.equal((await ok(['auth', 'can-i', 'create', 'ksvc'])).trim(), 'yes')
      })
    })
  }

  test('get -w shows changes as they happen', async () => {
    await ebb.ok('create', 'cm', 'watched', '--from-literal=a=1')
    const watching = spawn(newest, ['get', 'cm', 'watched', '-w', '-o', 'jsonpath={.data.a} '], {
      env: { ...process.env, KUBECONFIG: ebb.kubeconfig },
    })
    let seen = ''
    watching.stdout.on('data', (chunk: Buffer) => (seen += chunk))
    try {
      await until('the first state', () => seen.includes('1'))
      await ebb.ok('patch', 'cm', 'watched', '--type=merge', '-p', '{"data":{"a":"2"}}')
      await until('the change', () => seen.includes('2'))
    } finally {
      watching.kill()
    }
  })

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
})
