import assert from 'node:assert/strict'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { SimClock } from '../../testing/sim-clock.ts'
import { ensureCertificates } from './certificates.ts'
import { kubeconfigText, writeKubeconfig } from '../kubeconfig.ts'

const day = 86_400_000
let directory = ''
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ebb-certificates-'))
})
after(() => rm(directory, { recursive: true }))

const options = (hosts: readonly string[] = [], afterDays = 0) => ({
  hosts,
  ips: ['192.0.2.7'],
  clock: new SimClock(Date.parse('2026-11-21T00:00:00Z') + afterDays * day),
})

test('certificates are made once, kept while they are good, and made anew when they are not', async () => {
  const first = await ensureCertificates(directory, options())
  const server = new X509Certificate(first.serverCert)
  const authority = new X509Certificate(first.ca)
  assert.ok(server.verify(authority.publicKey))
  for (const host of ['localhost', 'kubernetes.default.svc'])
    assert.ok(server.checkHost(host), host)
  for (const ip of ['127.0.0.1', '::1', '192.0.2.7']) assert.ok(server.checkIP(ip), ip)
  const admin = new X509Certificate(first.adminCert)
  assert.ok(admin.verify(authority.publicKey))
  assert.deepEqual(admin.subject.split('\n').toSorted(), ['CN=admin', 'O=system:masters'])
  for (const file of ['ca.key', 'server.key', 'admin.key', 'admin.crt'])
    assert.equal((await stat(join(directory, file))).mode & 0o777, 0o600, file)

  assert.deepEqual(await ensureCertificates(directory, options()), first)

  const renamed = await ensureCertificates(directory, options(['ebb.example']))
  assert.ok(new X509Certificate(renamed.serverCert).checkHost('ebb.example'))
  assert.equal(renamed.ca, first.ca)
  assert.equal(renamed.adminCert, first.adminCert)

  const late = await ensureCertificates(directory, options(['ebb.example'], 340))
  assert.notEqual(late.serverCert, renamed.serverCert)
  assert.notEqual(late.adminCert, renamed.adminCert)
  assert.equal(late.ca, first.ca)

  await writeFile(join(directory, 'ca.crt'), 'damaged')
  const again = await ensureCertificates(directory, options(['ebb.example'], 340))
  assert.notEqual(again.ca, first.ca)
  assert.ok(
    new X509Certificate(again.adminCert).verify(new X509Certificate(again.ca).publicKey),
    'what an older authority signed is replaced',
  )

  for (const name of ['server', 'admin', 'ca']) {
    await writeFile(join(directory, `${name}.key`), name === 'admin' ? 'damaged' : first.adminKey)
    const repaired = await ensureCertificates(directory, options(['ebb.example'], 340))
    const certificate = new X509Certificate(repaired.serverCert)
    assert.ok(certificate.checkPrivateKey(createPrivateKey(repaired.serverKey)), name)
    assert.ok(certificate.verify(new X509Certificate(repaired.ca).publicKey), name)
  }

  const path = join(directory, 'sub', 'config')
  await writeKubeconfig(path, { server: 'https://127.0.0.1:6443', certificates: again })
  assert.equal((await stat(path)).mode & 0o777, 0o600)
  const { parse } = await import('yaml')
  const config = parse(await readFile(path, 'utf8'))
  assert.equal(config['current-context'], 'ebb')
  assert.equal(config.clusters[0].cluster.server, 'https://127.0.0.1:6443')
  const key = Buffer.from(config.users[0].user['client-key-data'], 'base64').toString()
  assert.equal(key, again.adminKey)
})

test('names in a kubeconfig are quoted', () => {
  const certificates = { ca: '', serverCert: '', serverKey: '', adminCert: '', adminKey: '' }
  const text = kubeconfigText({ server: 'https://x', certificates, name: 'a: "b"\n- c' })
  assert.match(text, /name: "a: \\"b\\"\\n- c"/)
})
