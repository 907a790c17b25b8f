/**
 * An operator that knows nothing of Ebb (test/apps/operator, on @kubernetes/client-node): its own kind, leader election
 * by a Lease, an informer, a finalizer, status; and a webhook server that admission asks over TLS.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { appDir, startEbb, until, withoutKubectl, type Ebb } from './platform.ts'

let ebb: Ebb
before(async () => {
  ebb = await startEbb({ args: ['--no-knative'] })
})
after(() => ebb[Symbol.asyncDispose]())

/** Starts the operator as a process of its own. */
function startOperator(name: string) {
  const child = spawn(process.execPath, [join(appDir('operator'), 'operator.js'), name], {
    env: { ...process.env, KUBECONFIG: ebb.kubeconfig },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
  return {
    said: (text: string) => output.includes(text),
    get output() {
      return output
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGKILL')
      await ended
    },
  }
}

const memo = (name: string, text: string) => `apiVersion: memos.example.com/v1
kind: Memo
metadata: {name: ${name}}
spec: {text: "${text}"}
`

test('an operator on client-node works as it is', { skip: withoutKubectl }, async () => {
  await using first = startOperator('first')
  await until('the first leads', () => first.said('leads'))
  await using second = startOperator('second')
  await ebb.ok('apply', '-f', await ebb.file('memo.yaml', memo('a', 'three little words')))
  const jsonPath = (path: string) => ebb.ok('get', 'memo', 'a', '-o', `jsonpath=${path}`)
  await ebb.ok('wait', 'memo/a', '--for=condition=Ready', '--timeout=55s')
  assert.equal(await jsonPath('{.status.words}'), '3')
  assert.equal(await jsonPath('{.metadata.finalizers[0]}'), 'memos.example.com/tidy')
  assert.match(await ebb.ok('get', 'mm'), /^NAME +WORDS +READY\s+a +3 +True/)
  assert.equal(await ebb.ok('get', 'cm', 'a', '-o', 'jsonpath={.data.by}'), 'first')
  const refused = await ebb.kubectl(
    'patch',
    'memo',
    'a',
    '--type=merge',
    '-p',
    '{"spec":{"text":"forbidden"}}',
  )
  assert.match(refused.stderr, /spec: Invalid value: "object": that word is not allowed/)

  assert.ok(!second.said('leads'), second.output)
  await first[Symbol.asyncDispose]()
  await until('the second leads', () => second.said('leads'))
  await ebb.ok('patch', 'memo', 'a', '--type=merge', '-p', '{"spec":{"text":"two words"}}')
  await until('the second has written it', () => second.said('has written a'))
  assert.equal(
    await ebb.ok('get', 'cm', 'a', '-o', 'jsonpath={.data}'),
    '{"by":"second","text":"two words"}',
  )

  await ebb.ok('delete', 'memo', 'a', '--timeout=55s')
  assert.ok(second.said('tidies up after a'), second.output)
  await until('its ConfigMap is collected', async () =>
    (await ebb.kubectl('get', 'cm', 'a')).stderr.includes('NotFound'),
  )
})

test(
  'webhooks are asked over TLS; custom objects and policies survive a restart',
  { skip: withoutKubectl },
  async () => {
    const read = (name: string) => readFileSync(join(ebb.dataDir, 'certificates', name), 'utf8')
    const server = createServer(
      { key: read('server.key'), cert: read('server.crt') },
      (request, response) => {
        let body = ''
        request.on('data', (chunk: Buffer) => (body += chunk.toString()))
        request.on('end', () => {
          const { request: asked } = JSON.parse(body) as { request: { uid: string; name: string } }
          const allowed = asked.name !== 'unwanted'
          const status = { message: 'nobody wants it', code: 403 }
          response.end(
            JSON.stringify({
              apiVersion: 'admission.k8s.io/v1',
              kind: 'AdmissionReview',
              response: { uid: asked.uid, allowed, ...(!allowed && { status }) },
            }),
          )
        })
      },
    )
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const configuration = `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: memos}
webhooks:
- name: check.memos.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  clientConfig:
    url: https://127.0.0.1:${port}/check
    caBundle: ${Buffer.from(read('ca.crt')).toString('base64')}
  rules: [{apiGroups: [memos.example.com], apiVersions: [v1], operations: [CREATE], resources: [memos]}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: short-memos}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [memos.example.com], apiVersions: ["*"], operations: [CREATE, UPDATE], resources: [memos]}]
  validations: [{expression: "size(object.spec.text) < 20", message: keep it short}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: short-memos}
spec: {policyName: short-memos, validationActions: [Deny]}
`
    try {
      await ebb.ok('apply', '-f', await ebb.file('configuration.yaml', configuration))
      await ebb.ok('apply', '-f', await ebb.file('memo.yaml', memo('b', 'stays')))
      const apply = async (name: string, text: string) =>
        (await ebb.kubectl('apply', '-f', await ebb.file('other.yaml', memo(name, text)))).stderr
      const refusals = async () => {
        assert.match(
          await apply('unwanted', 'x'),
          /admission webhook "check.memos.example.com" denied the request: nobody wants it/,
        )
        assert.match(
          await apply('long', 'a text that is far too long for this'),
          /ValidatingAdmissionPolicy 'short-memos' with binding 'short-memos' denied request: keep it short/,
        )
      }
      await refusals()
      await ebb.kill()
      await ebb.restart('--no-knative')
      assert.match(await ebb.ok('get', 'memos'), /^b /m)
      await refusals()
    } finally {
      server.closeAllConnections()
      server.close()
    }
  },
)
