/**
 * Who may do what, by stock kubectl: roles, impersonation, questions about rights, tokens and certificates of persons and
 * accounts, and what the audit log says of it. What a pod may with its token is in pod-spec.test.ts.
 */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import 'reflect-metadata'
import { Pkcs10CertificateRequestGenerator } from '@peculiar/x509'
import { kubectls, startEbb, until, withoutKubectl, type Ebb } from './platform.ts'

/** Oldest and newest: JSON and protobuf bodies. */
const versions = kubectls().filter((_, i, all) => i === 0 || i === all.length - 1)

const roles = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: default}
rules:
- {apiGroups: [""], resources: [configmaps, pods/log], verbs: [get, list]}
- {apiGroups: [serving.knative.dev], resources: [services], resourceNames: [mine], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects:
- {kind: User, name: jane}
- {kind: ServiceAccount, name: bot}
`

describe('access', { skip: withoutKubectl }, () => {
  let ebb: Ebb
  let auditLog: string
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ebb-audit-'))
    auditLog = join(folder, 'audit.log')
    ebb = await startEbb({ args: ['--audit-log', auditLog, '--no-knative'] })
    await ebb.ok('create', 'serviceaccount', 'bot')
    await ebb.ok('apply', '-f', await ebb.file('roles.yaml', roles))
  })
  after(async () => {
    await ebb?.[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  const refused = async (message: string, ...args: readonly string[]) => {
    const ran = await ebb.kubectl(...args)
    assert.equal(ran.code, 1, ran.stdout)
    assert.equal(ran.stderr.trim(), message)
  }

  test('roles are kept to, and refusals say what is missing', async () => {
    assert.match(await ebb.ok('get', 'configmaps', '--as', 'jane'), /kube-root-ca.crt/)
    await refused(
      'Error from server (Forbidden): configmaps is forbidden: User "jane" cannot list resource "configmaps" in API group "" at the cluster scope',
      'get',
      'configmaps',
      '-A',
      '--as',
      'jane',
    )
    await refused(
      'Error from server (Forbidden): configmaps "kube-root-ca.crt" is forbidden: User "jane" cannot delete resource "configmaps" in API group "" in the namespace "default"',
      'delete',
      'configmap',
      'kube-root-ca.crt',
      '--as',
      'jane',
    )
    await refused(
      'Error from server (Forbidden): nodes is forbidden: User "jane" cannot list resource "nodes" in API group "" at the cluster scope',
      'get',
      'nodes',
      '--as',
      'jane',
    )
    await refused(
      'Error from server (Forbidden): users "admin" is forbidden: User "system:serviceaccount:default:bot" cannot impersonate resource "users" in API group "" at the cluster scope',
      'get',
      'pods',
      '--as',
      'admin',
      '--kubeconfig',
      await account(),
    )
  })

  const account = async () => {
    const printed = await ebb.ebb('kubeconfig', '--serviceaccount', 'default/bot')
    assert.equal(printed.code, 0, printed.stderr)
    return ebb.file('bot.kubeconfig', printed.stdout)
  }

  for (const binary of versions)
    test(`${binary.split('/').at(-1)}: rights are asked for, made and reconciled`, async () => {
      const run = (...args: readonly string[]) => ebb.kubectlWith(binary, args)
      const ok = async (...args: readonly string[]) => {
        const ran = await run(...args)
        assert.equal(ran.code, 0, `kubectl ${args.join(' ')}: ${ran.stderr || ran.stdout}`)
        return ran.stdout
      }
      assert.equal(await ok('auth', 'can-i', 'list', 'configmaps', '--as', 'jane'), 'yes\n')
      const no = await run('auth', 'can-i', 'delete', 'configmaps', '--as', 'jane')
      assert.deepEqual([no.code, no.stdout], [1, 'no\n'])
      assert.equal(
        await ok('auth', 'can-i', 'get', 'pods', '--subresource=log', '--as', 'jane'),
        'yes\n',
      )
      assert.equal(await ok('auth', 'can-i', 'get', '/version', '--as', 'jane'), 'yes\n')
      const list = await ok('auth', 'can-i', '--list', '--as', 'jane')
      assert.match(list, /^configmaps +\[\] +\[\] +\[get list\]$/m)
      assert.match(list, /^services.serving.knative.dev +\[\] +\[mine\] +\[get\]$/m)
      const who = await ok('auth', 'whoami', '--as', 'ann', '--as-group', 'devs', '--as-uid', '7')
      assert.match(who, /Username +ann\nUID +7\nGroups +\[devs system:authenticated\]/)
      const name = binary.split('.').at(-1) ?? ''
      await ok('create', 'clusterrole', `cr${name}`, '--verb=get,list', '--resource=pods,pods/log')
      await ok('create', 'role', `r${name}`, '--verb=*', '--resource=secrets', '--resource-name=s')
      await ok('create', 'rolebinding', `b${name}`, `--clusterrole=cr${name}`, '--group=devs')
      await ok('create', 'clusterrolebinding', `cb${name}`, '--clusterrole=view', '--user=joe')
      const wide = await ok('get', 'rolebinding', `b${name}`, '-o', 'wide')
      assert.match(wide, new RegExp(`^b${name} +ClusterRole/cr${name} +\\S+ +devs`, 'm'))
      assert.match(await ok('describe', 'role', `r${name}`), /secrets +\[\] +\[s\] +\[\*\]/)
      const file = await ebb.file('again.yaml', roles)
      assert.match(
        await ok('auth', 'reconcile', '-f', file),
        /role.rbac.authorization.k8s.io\/reader reconciled/,
      )
      const token = await ok('create', 'token', 'bot', '--duration', '10m', '--audience', 'vault')
      const [, claims = ''] = token.split('.')
      const { aud, exp, iat } = JSON.parse(Buffer.from(claims, 'base64url').toString())
      assert.deepEqual([aud, exp - iat], [['vault'], 600])
      const changed = await run(
        'patch',
        'rolebinding',
        `b${name}`,
        '--type',
        'merge',
        '-p',
        '{"roleRef":{"name":"x"}}',
      )
      assert.match(changed.stderr, /roleRef: Invalid value: .*: cannot change roleRef/)
    })

  test('an account reaches the API with its token, until it is gone', async () => {
    const kubeconfig = await account()
    const as = (...args: readonly string[]) => ebb.kubectl(...args, '--kubeconfig', kubeconfig)
    assert.match((await as('get', 'configmaps')).stdout, /kube-root-ca.crt/)
    assert.match(
      (await as('get', 'secrets')).stderr,
      /User "system:serviceaccount:default:bot" cannot list/,
    )
    const more = await as('create', 'role', 'x', '--verb=get', '--resource=secrets')
    assert.match(more.stderr, /cannot create resource "roles"/)
    await ebb.ok(
      'create',
      'rolebinding',
      'bot-admin',
      '--clusterrole=admin',
      '--serviceaccount=default:bot',
    )
    const greedy = await as(
      'create',
      'rolebinding',
      'y',
      '--clusterrole=cluster-admin',
      '--user=bot',
    )
    assert.match(
      greedy.stderr,
      /rolebindings.rbac.authorization.k8s.io "y" is forbidden: user "system:serviceaccount:default:bot" \(groups=\["system:serviceaccounts" "system:serviceaccounts:default" "system:authenticated"\]\) is attempting to grant RBAC permissions not currently held:/,
    )
    // Tokens outlive the platform's process.
    await ebb.kill()
    await ebb.restart()
    assert.match((await as('get', 'configmaps')).stdout, /kube-root-ca.crt/)
    await ebb.ok('delete', 'serviceaccount', 'bot')
    assert.match((await as('get', 'configmaps')).stderr, /must be logged in|Unauthorized/)
  })

  test('a person gets a certificate: by ebb kubeconfig, or by a request that is approved', async () => {
    const printed = await ebb.ebb('kubeconfig', '--user', 'jane', '--group', 'devs')
    const file = await ebb.file('jane.kubeconfig', printed.stdout)
    const who = await ebb.kubectl('auth', 'whoami', '--kubeconfig', file)
    assert.match(who.stdout, /Username +jane\nGroups +\[devs system:authenticated\]/, who.stderr)
    const algorithm = { name: 'ECDSA', namedCurve: 'P-256' }
    const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
    const csr = await Pkcs10CertificateRequestGenerator.create({
      name: 'CN=kim,O=ops',
      keys,
      signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    })
    const request = {
      apiVersion: 'certificates.k8s.io/v1',
      kind: 'CertificateSigningRequest',
      metadata: { name: 'kim' },
      spec: {
        request: Buffer.from(csr.toString('pem')).toString('base64'),
        signerName: 'kubernetes.io/kube-apiserver-client',
        usages: ['client auth'],
      },
    }
    await ebb.ok('create', '-f', await ebb.file('csr.json', JSON.stringify(request)))
    assert.match(await ebb.ok('get', 'csr'), /^kim .* Pending$/m)
    await ebb.ok('certificate', 'approve', 'kim')
    await until('the certificate is issued', async () =>
      /Approved,Issued/.test(await ebb.ok('get', 'csr', 'kim')),
    )
  })

  test('the audit log tells who did what', async () => {
    const lines = await until('the log is written', async () => {
      const text = await readFile(auditLog, 'utf8')
      return text.includes('"deletecollection"') || text.includes('"delete"') ? text : undefined
    })
    const events = lines
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    const denied = events.find(
      ({ verb, responseStatus }) => verb === 'delete' && responseStatus?.code === 403,
    )
    assert.equal(denied?.user.username, 'admin')
    assert.equal(denied?.impersonatedUser.username, 'jane')
    assert.equal(denied?.annotations['authorization.k8s.io/decision'], 'forbid')
    assert.ok(events.every(({ kind, auditID }) => kind === 'Event' && auditID))
  })
})
