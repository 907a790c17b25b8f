import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { StatusError } from '../api/status-error.ts'
import { decodeProtobuf } from './protobuf.ts'

/** Bodies that kubectl 1.33 sent. */
const recorded = {
  deployment:
    'azhzAAoVCgdhcHBzL3YxEgpEZXBsb3ltZW50Es8BCh8KA2dlbhIAGgAiACoAMgA4AEIAWgoKA2FwcBIDZ2VuEp0BCAISDAoKCgNhcHASA2dlbhqCAQocCgASABoAIgAqADIAOABCAFoKCgNhcHASA2dlbhJiEkQKB2J1c3lib3gSB2J1c3lib3gaAnNoGgItYxoHZWNobyBoaSoAMgsKABAAGJA/IgAqAEIAagByAIABAIgBAJABAKIBABoAMgBCAEoAUgBYAGAAaACCAQCKAQCaAQDCAQAiAgoAKAA4ABoMCAAQABgAIAAoADgAGgAiAA==',
  service:
    'azhzAAoNCgJ2MRIHU2VydmljZRJpCh0KAmNzEgAaACIAKgAyADgAQgBaCQoDYXBwEgJjcxJECh4KBzgwLWh0dHASA1RDUBhQIgoIARAAGgRodHRwKAASCQoDYXBwEgJjcxoAIglDbHVzdGVySVA6AEIAUgBaAGAAaAAaAgoAGgAiAA==',
  secret: 'azhzAAoMCgJ2MRIGU2VjcmV0Eh8KEwoDc2VjEgAaACIAKgAyADgAQgASBgoBYRIBYhoAGgAiAA==',
}
const bytes = (base64: string) => new Uint8Array(Buffer.from(base64, 'base64'))

test('a Deployment is read as its JSON would be, without zeroes that stand for nothing', () => {
  assert.deepEqual(decodeProtobuf(bytes(recorded.deployment)), {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'gen', creationTimestamp: null, labels: { app: 'gen' } },
    spec: {
      replicas: 2,
      selector: { matchLabels: { app: 'gen' } },
      template: {
        metadata: { creationTimestamp: null, labels: { app: 'gen' } },
        spec: {
          containers: [
            {
              name: 'busybox',
              image: 'busybox',
              command: ['sh', '-c', 'echo hi'],
              ports: [{ containerPort: 8080 }],
              resources: {},
            },
          ],
        },
      },
      strategy: {},
    },
    status: {},
  })
})

test('special messages: int or string, bytes, times', () => {
  const service = decodeProtobuf(bytes(recorded.service)) as {
    spec: { ports: unknown; type: string }
  }
  assert.deepEqual(service.spec.ports, [
    { name: '80-http', protocol: 'TCP', port: 80, targetPort: 'http' },
  ])
  assert.equal(service.spec.type, 'ClusterIP')
  const secret = decodeProtobuf(bytes(recorded.secret)) as { data: unknown }
  assert.deepEqual(secret.data, { a: 'Yg==' })
})

const isBadRequest = (thrown: unknown) => thrown instanceof StatusError && thrown.code === 400

test('what is no such body is refused with 400', () => {
  assert.throws(() => decodeProtobuf(new Uint8Array()), isBadRequest)
  assert.throws(() => decodeProtobuf(Buffer.from('{"kind":"Pod"}')), isBadRequest)
  const unknownKind = Buffer.concat([
    Buffer.from('k8s\0'),
    Buffer.from([10, 8, 10, 2, 0x76, 0x31, 18, 2, 0x58, 0x58]),
  ])
  assert.throws(() => decodeProtobuf(unknownKind), isBadRequest)
})

test('damaged bytes are refused or read, never more than that', () => {
  const whole = bytes(recorded.deployment)
  fc.assert(
    fc.property(
      fc.nat(whole.length),
      fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 4 }),
      (length, changes) => {
        const damaged = whole.slice(0, length)
        for (const [at, byte] of changes) if (at >= 4 && at < length) damaged[at] = byte
        try {
          decodeProtobuf(damaged)
        } catch (thrown) {
          assert.ok(isBadRequest(thrown), String(thrown))
        }
      },
    ),
    { numRuns: 500 },
  )
})
