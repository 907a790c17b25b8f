/** A kubeconfig for the platform, so that kubectl, kn and tkn find it. Written as text: no YAML library. */
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Certificates } from './access/certificates.ts'

export interface KubeconfigOptions {
  /** `https://127.0.0.1:6443`. */
  readonly server: string
  readonly certificates: Pick<Certificates, 'ca' | 'adminCert' | 'adminKey'>
  /** Instead of the certificate. */
  readonly token?: string
  /** Name of cluster, user and context. Default `ebb`. */
  readonly name?: string
  readonly namespace?: string
}

/** The text of the kubeconfig. */
export function kubeconfigText({
  server,
  certificates,
  token,
  name = 'ebb',
  namespace = 'default',
}: KubeconfigOptions): string {
  const base64 = (text: string) => Buffer.from(text).toString('base64')
  // A JSON string is a YAML string, whatever is in it.
  const quoted = (text: string) => JSON.stringify(text)
  const credential =
    token === undefined
      ? `    client-certificate-data: ${base64(certificates.adminCert)}
    client-key-data: ${base64(certificates.adminKey)}`
      : `    token: ${quoted(token)}`
  return `apiVersion: v1
kind: Config
clusters:
- name: ${quoted(name)}
  cluster:
    server: ${quoted(server)}
    certificate-authority-data: ${base64(certificates.ca)}
users:
- name: ${quoted(name)}
  user:
${credential}
contexts:
- name: ${quoted(name)}
  context:
    cluster: ${quoted(name)}
    user: ${quoted(name)}
    namespace: ${quoted(namespace)}
current-context: ${quoted(name)}
`
}

/** Writes it as a file of its own, readable by its owner only. */
export async function writeKubeconfig(path: string, options: KubeconfigOptions): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(`${path}.new`, kubeconfigText(options), { mode: 0o600 })
  await rename(`${path}.new`, path)
}
