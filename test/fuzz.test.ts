import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fuzzApi } from './fuzz/api.ts'
import { fuzzEvents } from './fuzz/events.ts'
import { fuzz } from './fuzz/fuzz.ts'

test(
  'fuzzing for some seconds finds nothing (npm run fuzz for longer)',
  { timeout: 60_000 },
  async () => {
    const { rounds, requests } = await fuzz({ seed: 1, durationMs: 7_000 })
    assert.ok(rounds > 10 && requests > 100, `${rounds} rounds, ${requests} requests`)
  },
)

test(
  'fuzzing the API for some seconds finds nothing (npm run fuzz -- --target api for longer)',
  { timeout: 90_000 },
  async () => {
    const { requests, codes } = await fuzzApi({ seed: 1, durationMs: 5_000 })
    assert.ok(requests > 50 && (codes['201'] ?? 0) > 0, `${requests} requests`)
  },
)

test(
  'fuzzing events for some seconds finds nothing (npm run fuzz -- --target events for longer)',
  { timeout: 60_000 },
  async () => {
    const { statuses } = await fuzzEvents({ seed: 1, durationMs: 4_000 })
    assert.ok((statuses['202'] ?? 0) > 20 && (statuses['400'] ?? 0) > 0, JSON.stringify(statuses))
  },
)
