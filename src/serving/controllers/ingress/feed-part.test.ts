import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createFacts, type Fact } from './feed-part.ts'

const ingress = (percent: number): Fact => ({
  type: 'ingress',
  ingress: {
    key: 'ns/a',
    hash: 'h',
    rules: [
      { hosts: ['a'], visibility: 'ExternalIP', paths: [{ splits: [{ host: 'b', percent }] }] },
    ],
  },
})
const challenge = (response: string | null): Fact => ({
  type: 'challenge',
  host: 'a.example',
  token: 't',
  response,
})

test('what is as before is not told again; what is gone is forgotten; answers are not kept', () => {
  const facts = createFacts()
  const told: string[] = []
  using _ = facts.onChange(({ type }) => told.push(type))
  facts.tell(ingress(1))
  facts.tell(ingress(1))
  facts.tell(ingress(2))
  facts.tell(challenge('x'))
  facts.tell({ type: 'certificate-refused', host: 'a.example' })
  assert.deepEqual(told, ['ingress', 'ingress', 'challenge', 'certificate-refused'])
  assert.deepEqual([...facts.all()], [ingress(2), challenge('x')])
  facts.tell(challenge(null))
  facts.tell({ type: 'ingress-gone', key: 'ns/a' })
  facts.tell({ type: 'ingress-gone', key: 'ns/a' })
  assert.deepEqual(told.slice(4), ['challenge', 'ingress-gone'])
  assert.deepEqual([...facts.all()], [])
})
