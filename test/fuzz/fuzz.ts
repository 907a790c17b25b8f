/**
 * The fuzzer of the data plane: rounds of parsers and of a whole gateway under valid and spoilt connections at once. Throws at the
 * first broken promise: nothing is thrown, nothing hangs, memory stays, every answer belongs to its request, and pods see
 * only what was sent.
 */
import assert from 'node:assert/strict'
import { randomInt, seededRandom } from '../../src/lib/random.ts'
import { get } from '../../src/serving/gateway/gateway.fixture.ts'
import { settle } from '../../src/testing/sim-clock.ts'
import { collectGarbage } from '../../src/testing/garbage.ts'
import { pick } from './bytes.ts'
import { spoilt, type Told, validHttp1, validHttp2 } from './connections.ts'
import { fuzzParsers } from './parsers.ts'
import { startWorld, type World } from './world.ts'

export interface FuzzResult {
  readonly rounds: number
  readonly connections: number
  /** Requests that pods saw whole. */
  readonly requests: number
  /** Heap in MB after the warm-up and at the end. */
  readonly heapMb: readonly [number, number]
}

/** A round that takes longer hangs. */
const patienceMs = 10_000
const warmUpRounds = 30
const allowedGrowthMb = 64

export async function fuzz(options: {
  readonly seed: number
  readonly durationMs: number
  /** Told of progress every so often. */
  readonly say?: (line: string) => void
}): Promise<FuzzResult> {
  const endMs = performance.now() + options.durationMs
  await using world = await startWorld(seededRandom(options.seed))
  let rounds = 0
  let connections = 0
  let requests = 0
  let firstMb = 0
  for (; performance.now() < endMs; rounds++) {
    const seed = (options.seed + rounds) >>> 0
    try {
      const random = seededRandom(seed)
      fuzzParsers(random)
      const kinds = Array.from({ length: 1 + randomInt(random, 6) }, () =>
        pick(random, [validHttp1, validHttp2, spoilt, spoilt]),
      )
      connections += kinds.length
      const { port } = world.fixture.gateway.http
      // Each connection its own numbers: how they meet does not change what they send.
      const told = await Promise.all(
        kinds.map((kind, i) =>
          patient(`${kind.name} ${i}`, kind(seededRandom(seed * 31 + i), port)),
        ),
      )
      requests += await patient('what is left behind', check(world, told))
    } catch (error) {
      throw new Error(`round ${rounds}: npm run fuzz -- --seed ${seed}`, { cause: error })
    }
    if (rounds === warmUpRounds) firstMb = heapMb()
    if (rounds % 200 === 199)
      options.say?.(
        `${rounds + 1} rounds, ${connections} connections, ${requests} requests, heap ${heapMb()} MB`,
      )
  }
  const lastMb = heapMb()
  if (rounds > warmUpRounds)
    assert.ok(lastMb < firstMb + allowedGrowthMb, `the heap grew from ${firstMb} to ${lastMb} MB`)
  return { rounds, connections, requests, heapMb: [firstMb, lastMb] }
}

/** What connections of late have sent: a request whose client has gone can end at its pod some rounds later. */
const recent: string[] = []

/** Pods have seen what they should, all connections are gone, and the gateway serves on. Answers how many requests there were. */
async function check(world: World, told: readonly Told[]): Promise<number> {
  const { fixture, seen, complaints } = world
  for (const pod of ['/h1', '/h2']) {
    const { status } = await fixture.request(get(`${pod}/control`))
    assert.equal(status, 200)
  }
  while (fixture.gateway.view().gateway.connections > 0) await settle()
  assert.equal(fixture.gateway.view().gateway.waiting, 0)
  for (const { inFlight } of fixture.gateway.view().revisions) assert.equal(inFlight, 0)
  const all = seen.splice(0).filter(({ url }) => !url.endsWith('/control'))
  const valid = told.flatMap((one) => one.valid)
  for (const { id, method, target, body } of valid) {
    const of = all.filter((one) => one.id === id)
    assert.equal(of.length, 1, `${target} was seen ${of.length} times`)
    assert.deepEqual(of[0], { id, method, url: target, body })
  }
  for (const { bytes } of told) recent.push(bytes.toString('latin1'))
  for (const { url, id } of all)
    assert.ok(
      recent.some(
        (text) =>
          text.includes(url.slice(1)) && id.split(', ').every((part) => text.includes(part)),
      ),
      `nobody sent ${url} with id ${id}`,
    )
  recent.splice(0, recent.length - 50)
  assert.deepEqual(complaints.splice(0), [])
  return all.length
}

async function patient<T>(what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} hangs for ${patienceMs} ms`)), patienceMs)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

function heapMb(): number {
  collectGarbage()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return Math.round((heapUsed + arrayBuffers) / 1e6)
}
