/** CertificateSigningRequests to approve and to deny: one key, made once, signs them all. */
import { webcrypto } from 'node:crypto'
import 'reflect-metadata'
import * as x509 from '@peculiar/x509'

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
let keys: Promise<webcrypto.CryptoKeyPair> | undefined

/** A manifest of that name which asks for a certificate of a client. */
export async function createRequest(name: string): Promise<string> {
  keys ??= webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const request = await x509.Pkcs10CertificateRequestGenerator.create(
    { name: 'CN=jane', keys: await keys, signingAlgorithm: algorithm },
    webcrypto,
  )
  const pem = Buffer.from(request.toString('pem')).toString('base64')
  return `apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: ${name}}
spec: {request: ${pem}, signerName: kubernetes.io/kube-apiserver-client, usages: [client auth]}
`
}
