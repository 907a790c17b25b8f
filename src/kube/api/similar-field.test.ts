import assert from 'node:assert/strict'
import test from 'node:test'
import { list, object, string } from './schema.ts'
import { similarField } from './similar-field.ts'

const schema = object({
  containers: list(object({ image: string(), imagePullPolicy: string() })),
  container: object({}),
  spec: object({}, { 'x-kubernetes-preserve-unknown-fields': true }),
})

test('the nearest field at the place of the misspelled one', () => {
  assert.equal(similarField(schema, 'containerers'), 'containers')
  assert.equal(similarField(schema, 'containers[3].imag'), 'image')
  assert.equal(similarField(schema, 'containers[0].imagePullPolcy'), 'imagePullPolicy')
})

test('nothing is guessed of words that are alike in nothing, too long, or nowhere', () => {
  for (const path of [
    'bogus',
    'spc',
    'containers[0].containers',
    'spec.anything.containrs',
    'nowhere.containrs',
    'containers'.repeat(1e5),
    '',
    '.',
  ])
    assert.equal(similarField(schema, path), undefined)
})
