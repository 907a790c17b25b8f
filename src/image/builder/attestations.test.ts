import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { openContentStore } from '../content-store.ts'
import { readDocument } from '../manifest.ts'
import { referrersOf } from '../referrers.ts'
import { attest, inTotoType, type BuildRecord } from './attestations.ts'
import { spdxDocument, spdxType } from './sbom.ts'

const left = { name: 'left', version: '1.0.0', purl: 'pkg:npm/left@1.0.0', license: 'MIT' }

async function storeFor(t: TestContext) {
  const path = await mkdtemp(join(tmpdir(), 'ebb-attest-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  return await openContentStore(path)
}

const record = (over: Partial<BuildRecord>): BuildRecord => ({
  kind: 'node',
  reference: 'ghcr.io/me/app:v1',
  image: {
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    digest: `sha256:${'a'.repeat(64)}`,
    size: 7,
  },
  parameters: { kind: 'node' },
  materials: [{ name: 'source', digest: { gitCommit: 'b'.repeat(40) } }],
  packages: [left],
  tools: { node: '24.0.0' },
  version: '1.2.3',
  startedMs: 0,
  finishedMs: 1000,
  createdS: 0,
  ...over,
})

test('SBOM and provenance speak about the image; the next build replaces them', async (t) => {
  const store = await storeFor(t)
  const build = record({})
  await attest(store, build)
  await attest(store, record({ finishedMs: 2000 }))
  const found = await referrersOf(store, build.image.digest)
  const types = found.map(({ artifactType }) => artifactType)
  assert.deepEqual(new Set(types), new Set([spdxType, inTotoType]))
  assert.equal(types.length, 2)
  const read = async (type: string) => {
    const [item] = await referrersOf(store, build.image.digest, type)
    const document = readDocument(await store.read(item?.digest ?? ''))
    assert.deepEqual(document.subject, build.image)
    return JSON.parse((await store.read(document.needs[1]?.digest ?? '')).toString('utf8')) as {
      readonly [key: string]: unknown
    }
  }
  const statement = await read(inTotoType)
  assert.equal(statement['_type'], 'https://in-toto.io/Statement/v1')
  assert.deepEqual(statement['subject'], [
    { name: 'ghcr.io/me/app:v1', digest: { sha256: 'a'.repeat(64) } },
  ])
  assert.equal(statement['predicateType'], 'https://slsa.dev/provenance/v1')
  const { runDetails, buildDefinition } = statement['predicate'] as {
    readonly runDetails: { readonly metadata: unknown }
    readonly buildDefinition: { readonly resolvedDependencies: unknown }
  }
  assert.deepEqual(runDetails.metadata, {
    startedOn: '1970-01-01T00:00:00.000Z',
    finishedOn: '1970-01-01T00:00:02.000Z',
  })
  assert.deepEqual(buildDefinition.resolvedDependencies, [
    { name: 'source', digest: { gitCommit: 'b'.repeat(40) } },
    { uri: 'pkg:npm/left@1.0.0' },
  ])
  const sbom = await read(spdxType)
  assert.equal(sbom['spdxVersion'], 'SPDX-2.3')
  assert.equal(sbom['name'], 'ghcr.io/me/app')
})

test('an SBOM depends on nothing but the packages; licences that are no expression are comments', () => {
  const subject = { name: 'x', tool: 'ebb-1', createdS: 0 }
  const one = spdxDocument(subject, [left])
  assert.deepEqual(spdxDocument(subject, [left]), one)
  const odd = { ...left, license: 'see LICENSE file' }
  const documents = [left, { ...left, license: '(MIT OR Apache-2.0)' }, odd].map(
    (item) =>
      (
        spdxDocument(subject, [item])['packages'] as readonly Readonly<Record<string, unknown>>[]
      )[1],
  )
  assert.deepEqual(
    documents.map((item) => [item?.['licenseDeclared'], item?.['licenseComments']]),
    [
      ['MIT', undefined],
      ['(MIT OR Apache-2.0)', undefined],
      ['NOASSERTION', 'see LICENSE file'],
    ],
  )
  assert.notEqual(spdxDocument(subject, [odd])['documentNamespace'], one['documentNamespace'])
})
