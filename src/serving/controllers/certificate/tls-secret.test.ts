import assert from 'node:assert/strict'
import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import type { Secret } from '../../../kube/api/secret.ts'
import { issue } from '../../../platform/access/certificate-issue.ts'
import { tlsProblem } from './tls-secret.ts'

const pair = await issue({
  subject: 'CN=test',
  hosts: ['a.example'],
  notBefore: new Date(0),
  notAfter: new Date(4e12),
})
const encode = (text: string) => Buffer.from(text).toString('base64')
const problemOf = (cert: string, key: string): string | undefined => {
  const secret: Secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 's', namespace: 'ns' },
    data: { 'tls.crt': encode(cert), 'tls.key': encode(key) },
  }
  return tlsProblem(secret, 1e12)?.message
}

test('what the gateway could not show is found in the Secret', () => {
  assert.equal(problemOf(pair.cert, pair.key), undefined)
  const crlf = (text: string) => text.replaceAll('\n', '\r\n')
  assert.equal(problemOf(`Certificate:\n${crlf(pair.cert)}`, crlf(pair.key)), undefined)
  assert.equal(problemOf('', pair.key), 'tls.crt is missing')
  assert.equal(problemOf(pair.cert, ''), 'tls.key is missing')
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  assert.equal(
    problemOf(pair.cert, other.export({ type: 'pkcs8', format: 'pem' }).toString()),
    'tls.key is not the key of the first certificate in tls.crt',
  )
  const encrypted = createPrivateKey(pair.key)
    .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' })
    .toString()
  assert.match(problemOf(pair.cert, encrypted) ?? '', /^tls\.key is encrypted/)
  const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'
  assert.match(problemOf(`${pair.cert}\n${broken}`, pair.key) ?? '', /^tls\.crt or tls\.key can't/)
  assert.match(problemOf('nonsense', pair.key) ?? '', /^tls\.crt or tls\.key can't/)
})
