import assert from 'node:assert/strict'
import { test } from 'node:test'
import { retentionOf, validateRetention } from './retention.ts'

const meta = (time?: string, size?: string) => ({
  name: 'b',
  annotations: {
    ...(time !== undefined && { 'ebb.dev/retention-time': time }),
    ...(size !== undefined && { 'ebb.dev/retention-size': size }),
  },
})

test('how long events are kept is a duration and a quantity; anything else is refused', () => {
  assert.deepEqual(retentionOf(meta('PT24H', '2Gi')), {
    maxAgeMs: 24 * 3_600_000,
    maxBytes: 2 * 2 ** 30,
  })
  assert.deepEqual(retentionOf(meta()), {})
  assert.deepEqual([...validateRetention(meta('P30D', '500Mi'))], [])
  const refused = (time?: string, size?: string) =>
    [...validateRetention(meta(time, size))].map(({ paths }) => paths?.[0])
  assert.deepEqual(refused('24h', '-1'), [
    'metadata.annotations[ebb.dev/retention-time]',
    'metadata.annotations[ebb.dev/retention-size]',
  ])
  assert.deepEqual(refused(undefined, 'much'), ['metadata.annotations[ebb.dev/retention-size]'])
  assert.deepEqual(retentionOf(meta('24h', 'much')), {})
})
