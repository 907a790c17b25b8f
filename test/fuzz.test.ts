import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fuzz } from './fuzz/fuzz.ts'

test(
  'fuzzing for some seconds finds nothing (npm run fuzz for longer)',
  { timeout: 60_000 },
  async () => {
    const { rounds, requests } = await fuzz({ seed: 1, durationMs: 12_000 })
    assert.ok(rounds > 10 && requests > 100, `${rounds} rounds, ${requests} requests`)
  },
)
