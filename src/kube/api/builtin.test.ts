import assert from 'node:assert/strict'
import { test } from 'node:test'
import { definition, resolve } from './builtin.ts'
import types from './kube-types.json' with { type: 'json' }
import { coreKinds } from './kinds.ts'
import { builtin, type Schema } from './schema.ts'
import { wholeSchema } from './structural.ts'

test('every reference between built-in types leads somewhere', () => {
  const missing = new Set<string>()
  const walk = (value: unknown): void => {
    if (Array.isArray(value)) return value.forEach(walk)
    if (typeof value !== 'object' || value === null) return
    for (const [key, inner] of Object.entries(value)) {
      if (key === '$ref' && typeof inner === 'string') {
        const name = inner.slice('#/definitions/'.length)
        if (!definition(name)) missing.add(name)
      } else walk(inner)
    }
  }
  walk(types)
  assert.deepEqual([...missing], [])
})

test('a reference is resolved to the same schema each time, with what stands beside it', () => {
  const plain = builtin('io.k8s.api.core.v1.Container')
  assert.equal(resolve(plain), definition('io.k8s.api.core.v1.Container'))
  const beside: Schema = builtin('io.k8s.api.core.v1.Container', { description: 'the first' })
  assert.equal(resolve(beside).description, 'the first')
  assert.equal(resolve(beside), resolve(beside))
  assert.equal(resolve(beside).properties, resolve(plain).properties)
  assert.throws(() => resolve(builtin('io.k8s.Nothing')), /no built-in type/)
})

test('each kind has a schema with type and metadata, and names of its own', () => {
  const plurals = new Set<string>()
  for (const kind of coreKinds) {
    const { properties } = wholeSchema(kind)
    assert.ok(properties?.['metadata'] && properties['kind'] && properties['apiVersion'], kind.kind)
    plurals.add(`${kind.plural}.${kind.group}`)
  }
  assert.equal(plurals.size, coreKinds.length)
})
