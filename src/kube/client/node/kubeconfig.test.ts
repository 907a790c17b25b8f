import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { readKubeconfig } from './kubeconfig.ts'

async function reading(yaml: string, context?: string) {
  const directory = await mkdtemp(join(tmpdir(), 'ebb-kubeconfig-'))
  const path = join(directory, 'config')
  try {
    await writeFile(join(directory, 'token'), 'from-file\n')
    await writeFile(join(directory, 'ca.crt'), 'CA')
    await writeFile(path, yaml)
    return await readKubeconfig(path, context)
  } finally {
    await rm(directory, { recursive: true })
  }
}

const base64 = (text: string) => Buffer.from(text).toString('base64')

const config = `
apiVersion: v1
kind: Config
current-context: here
clusters:
- name: c
  cluster: {server: 'https://127.0.0.1:6443', certificate-authority-data: ${base64('PEM')}}
- name: files
  cluster: {server: 'https://h', certificate-authority: ca.crt, tls-server-name: k, insecure-skip-tls-verify: true}
users:
- name: u
  user: {client-certificate-data: ${base64('CERT')}, client-key-data: ${base64('KEY')}}
- name: t
  user: {tokenFile: token}
- name: plugin
  user: {exec: {command: aws}}
contexts:
- {name: here, context: {cluster: c, user: u, namespace: work}}
- {name: there, context: {cluster: files, user: t}}
- {name: cloud, context: {cluster: c, user: plugin}}
- {name: lost, context: {cluster: nowhere, user: u}}
`

test('the current context, with data inline', async () => {
  assert.deepEqual(await reading(config), {
    namespace: 'work',
    api: { server: 'https://127.0.0.1:6443', ca: 'PEM', cert: 'CERT', key: 'KEY' },
  })
})

test('a named context, with files beside the kubeconfig', async () => {
  assert.deepEqual(await reading(config, 'there'), {
    namespace: 'default',
    api: {
      server: 'https://h',
      ca: 'CA',
      token: 'from-file',
      tlsServerName: 'k',
      insecureSkipTlsVerify: true,
    },
  })
})

test('what is wrong is named', async () => {
  await assert.rejects(reading(config, 'none'), /there is no entry "none" in contexts/)
  await assert.rejects(reading(config, 'lost'), /there is no entry "nowhere" in clusters/)
  await assert.rejects(
    reading(config, 'cloud'),
    /credential plugin; use a token or a client certificate/,
  )
  await assert.rejects(reading('{}'), /no current-context is set/)
  await assert.rejects(reading('- just\n- a list'), /no current-context is set/)
})
