/** Everything that stands on patches, as kubectl does it: apply on either side, prune, replace, diff, edit, set. */
import assert from 'node:assert/strict'
import { chmod } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { kubectls, run, startEbb, withoutKubectl, type Ebb, type Ran } from './platform.ts'

/** The oldest and the newest of 1.27 to 1.33: what lies between sends the same. */
const versions = [...new Set([kubectls().at(0), kubectls().at(-1)])].filter(
  (each) => each !== undefined,
)

const deployment = (image: string) => `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: c, image: '${image}', ports: [{containerPort: 80}], env: [{name: A, value: "1"}]}
`
const configMaps = (...names: readonly string[]) =>
  names
    .map(
      (name) =>
        `---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}, labels: {set: one}}\ndata: {k: "1"}\n`,
    )
    .join('')

describe('apply and patches', { skip: withoutKubectl }, () => {
  let ebb: Ebb
  before(async () => {
    ebb = await startEbb()
  })
  after(() => ebb[Symbol.asyncDispose]())

  for (const binary of versions) {
    const version = /1\.\d+$/.exec(binary)?.[0] ?? 'kubectl'
    const namespace = `a${version.replace('.', '-')}`
    const kubectl = (
      args: readonly string[],
      input = '',
      env: NodeJS.ProcessEnv = {},
    ): Promise<Ran> =>
      run(binary, ['--namespace', namespace, ...args], {
        input,
        env: { KUBECONFIG: ebb.kubeconfig, ...env },
      })
    const says = async (wanted: RegExp, args: readonly string[], input = '', env = {}) => {
      const { stdout, stderr } = await kubectl(args, input, env)
      assert.match(stdout + stderr, wanted, `kubectl ${args.join(' ')}`)
    }
    const file = ['-f', '-']
    const onServer = ['apply', '--server-side', ...file]
    const managers = async (): Promise<string> =>
      (
        await kubectl([
          'get',
          'deploy/web',
          '--show-managed-fields',
          '-o=jsonpath={range .metadata.managedFields[*]}{.manager}/{.operation} {end}',
        ])
      ).stdout

    test(`${version}: apply goes over from the client to the server and back`, async () => {
      await kubectl(['create', 'namespace', namespace])
      await says(/deployment.apps\/web created/, ['apply', ...file], deployment('i:1'))
      await says(/deployment.apps\/web unchanged/, ['apply', ...file], deployment('i:1'))
      await says(/-.*i:1[\s\S]*\+.*i:2/, ['diff', ...file], deployment('i:2'))
      await says(/image: i:1/, ['apply', 'view-last-applied', 'deploy/web'])
      assert.match(await managers(), /kubectl-client-side-apply\/Update/)
      await says(/web serverside-applied/, onServer, deployment('i:2'))
      assert.match(await managers(), /^kubectl\/Apply /)
      assert.doesNotMatch(await managers(), /client-side/)
      await says(/web configured/, ['apply', ...file], deployment('i:3'))
      await says(/web serverside-applied/, onServer, deployment('i:3'))
      await says(/web scaled/, ['scale', 'deploy/web', '--replicas=1'])
      await says(
        /conflict with "kubectl[^"]*" with subresource "scale" using apps\/v1: \.spec\.replicas/,
        onServer,
        deployment('i:3'),
      )
      await says(/serverside-applied/, [...onServer, '--force-conflicts'], deployment('i:3'))
    })

    test(`${version}: prune by label and by set, replace --force`, async () => {
      const prune = [
        'apply',
        ...file,
        '--prune',
        '-l',
        'set=one',
        '--prune-allowlist=core/v1/ConfigMap',
      ]
      await says(/b created/, prune, configMaps('a', 'b'))
      await says(/b pruned/, prune, configMaps('a'))
      const set = [
        'apply',
        ...file,
        '--server-side',
        '--force-conflicts',
        '--prune',
        '--applyset=configmaps/set',
      ]
      const alpha = { KUBECTL_APPLYSET: 'true' }
      await says(/b serverside-applied/, set, configMaps('a', 'b'), alpha)
      await says(/b pruned/, set, configMaps('a'), alpha)
      await says(/a replaced/, ['replace', '--force', ...file], configMaps('a'))
    })

    test(`${version}: edit shows what is wrong and lets one mend it`, async () => {
      const seen = await ebb.file(`seen-${version}`, '')
      const editor = await ebb.file(
        `editor-${version}`,
        `#!/bin/sh\nif grep -q '^# .*must be greater' $1; then cp $1 ${seen}; sed -i 's/replicas: -1/replicas: 0/; s/revisionHistoryLimit: 10/revisionHistoryLimit: 9/' $1; else sed -i 's/^  replicas: 0/  replicas: -1/' $1; fi\n`,
      )
      await chmod(editor, 0o755)
      await says(/web edited/, ['edit', 'deploy/web'], '', { KUBE_EDITOR: editor })
      const shown = await run('cat', [seen])
      assert.match(
        shown.stdout,
        /spec\.replicas: Invalid value: -1: must be greater than or equal to 0/,
      )
    })

    test(`${version}: strategic patches and the commands that send them`, async () => {
      const patch =
        '{"spec":{"template":{"spec":{"containers":[{"name":"c","env":[{"name":"B","value":"2"}]}]}}}}'
      await says(/web patched/, ['patch', 'deploy/web', '-p', patch])
      await says(/web image updated/, ['set', 'image', 'deploy/web', 'c=i:9'])
      await says(/web env updated/, ['set', 'env', 'deploy/web', 'A-'])
      await says(/^B=2 i:9$/, [
        'get',
        'deploy/web',
        '-o=jsonpath={range .spec.template.spec.containers[0].env[*]}{.name}={.value}{end} {.spec.template.spec.containers[0].image}',
      ])
      await says(/rolled back/, ['rollout', 'undo', 'deploy/web'])
      await says(/web exposed/, ['expose', 'deploy/web', '--port=80'])
      await says(/selector updated/, ['set', 'selector', 'svc/web', 'x=y'])
      await says(/a labeled/, ['label', 'cm', 'a', 'x=y'])
      await says(/already has a value/, ['label', 'cm', 'a', 'x=z'])
      const test = '[{"op":"test","path":"/data/k","value":"0"}]'
      await says(/the server rejected our request due to an error in our request/, [
        'patch',
        'cm/a',
        '--type=json',
        '-p',
        test,
      ])
    })
  }
})
