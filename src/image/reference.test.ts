import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { digestReference, normalizeReference, parseReference } from './reference.ts'

const digest = `sha256:${'a'.repeat(64)}`
const normalized: Readonly<Record<string, string>> = {
  hello: 'docker.io/library/hello:latest',
  'hello:v1': 'docker.io/library/hello:v1',
  'user/app': 'docker.io/user/app:latest',
  'index.docker.io/library/nginx': 'docker.io/library/nginx:latest',
  'gcr.io/knative-samples/helloworld-go': 'gcr.io/knative-samples/helloworld-go:latest',
  'localhost:5000/a/b:1.2_x-y': 'localhost:5000/a/b:1.2_x-y',
  'localhost/a': 'localhost/a:latest',
  [`dev.local/a@${digest}`]: `dev.local/a@${digest}`,
  [`a:v1@${digest}`]: `docker.io/library/a@${digest}`,
  'UPPER.io/a': 'UPPER.io/a:latest',
}
for (const [text, expected] of Object.entries(normalized)) {
  test(`${text} means ${expected}`, () => assert.equal(normalizeReference(text), expected))
}

for (const text of [
  '',
  'Hello',
  'a b',
  'a:',
  ':a',
  'a@sha256:12',
  '/a',
  'a//b',
  '-a',
  'a/',
  'a:t/b:c:d',
  'x'.repeat(300),
])
  test(`refused: "${text.slice(0, 20)}"`, () =>
    assert.throws(() => parseReference(text), { name: 'InvalidReference' }))

test('what is normalised stays as it is, and nothing but InvalidReference is thrown', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('a', 'B', '1', '.', ':', '/', '@', '-', '_', ' ') }),
      (text) => {
        let name: string
        try {
          name = normalizeReference(text)
        } catch (error) {
          return assert.equal((error as Error).name, 'InvalidReference')
        }
        assert.equal(normalizeReference(name), name)
      },
    ),
  )
})

test('a resolved image is written with its whole repository', () => {
  assert.equal(
    digestReference(parseReference('nginx'), digest),
    `index.docker.io/library/nginx@${digest}`,
  )
  assert.equal(digestReference(parseReference('ghcr.io/a/b:1'), digest), `ghcr.io/a/b@${digest}`)
})
