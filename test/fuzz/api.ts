/**
 * The fuzzer of the API: rounds of concurrent requests (`api-requests.ts`) over HTTP against a server in this process.
 * Throws at the first broken promise: no answer of 500 that is not documented, nothing hangs, memory stays, and what the
 * watches have added up to is what a list answers.
 */
import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { coreKinds } from '../../src/kube/api/kinds.ts'
import { memoryStore } from '../../src/kube/store/memory-store.ts'
import { randomInt, seededRandom } from '../../src/lib/random.ts'
import { servingKinds } from '../../src/serving/api/kinds.ts'
import { servedApi } from '../../src/testing/served-api.ts'
import { collectGarbage } from '../../src/testing/garbage.ts'
import { fuzzRequest, resources, type FuzzRequest } from './api-requests.ts'

export interface ApiFuzzResult {
  readonly rounds: number
  readonly requests: number
  readonly watches: number
  /** How often each code was answered. */
  readonly codes: Readonly<Record<string, number>>
  readonly heapMb: readonly [number, number]
}

const patienceMs = 20_000
const maxConnections = 64
const warmUpRounds = 40
const allowedGrowthMb = 80

/** What Kubernetes answers with 500 as well, and what needs a node agent, which is not here. */
const documented = [
  /failed to create typed patch object/,
  /unknown patch type/,
  /does not contain declared merge key/,
  /resourceVersion should not be set on objects to be created/,
  /expected a map in a list merged by/,
  /must be a list/,
  /\$retainKeys/,
  /no node agent runs here/,
]

interface Answer {
  readonly code: number
  readonly body: string
}

export async function fuzzApi(options: {
  readonly seed: number
  readonly durationMs: number
  readonly say?: (line: string) => void
}): Promise<ApiFuzzResult> {
  const endMs = performance.now() + options.durationMs
  await using world = await startWorld()
  const codes: Record<string, number> = {}
  let rounds = 0
  let requests = 0
  let firstMb = 0
  for (; performance.now() < endMs; rounds++) {
    const seed = (options.seed + rounds) >>> 0
    const random = seededRandom(seed)
    const burst = Array.from({ length: 1 + randomInt(random, 24) }, () => fuzzRequest(random))
    try {
      if (random.next() < 0.1) await world.watchBriefly(randomInt(random, 100))
      const answers = await Promise.all(burst.map((each) => world.send(each)))
      requests += burst.length
      for (const [i, { code, body }] of answers.entries()) {
        codes[code] = (codes[code] ?? 0) + 1
        if (code < 500 || code === 504) continue
        const message = messageOf(body)
        const isKnown = documented.some((each) => each.test(message))
        assert.ok(isKnown, `${code}: ${message} for ${shown(burst[i])}`)
      }
      if (rounds % 10 === 9) await world.check()
      if (rounds % 50 === 49) await world.clear()
    } catch (error) {
      throw new Error(`round ${rounds}: npm run fuzz -- --target api --seed ${seed}`, {
        cause: error,
      })
    }
    if (rounds === warmUpRounds) firstMb = heapMb()
    if (rounds % 200 === 199)
      options.say?.(`${rounds + 1} rounds, ${requests} requests, heap ${heapMb()} MB`)
  }
  await world.check()
  await world.clear()
  const lastMb = heapMb()
  if (rounds > warmUpRounds)
    assert.ok(lastMb < firstMb + allowedGrowthMb, `the heap grew from ${firstMb} to ${lastMb} MB`)
  return { rounds, requests, watches: world.watches(), codes, heapMb: [firstMb, lastMb] }
}

const shown = (request: FuzzRequest | undefined): string =>
  request
    ? `${request.method} ${request.path} ${request.headers['content-type'] ?? ''} ${request.body?.toString('latin1').slice(0, 2000) ?? ''}`
    : ''

function messageOf(body: string): string {
  try {
    const status: unknown = JSON.parse(body)
    return String(Object(status).message)
  } catch {
    return body.slice(0, 500)
  }
}

async function startWorld() {
  const served = await servedApi(
    memoryStore({ historyLimit: 500 }),
    [...coreKinds, ...servingKinds],
    maxConnections,
  )
  const open = (request: FuzzRequest, signal?: AbortSignal, alone = false) =>
    served.open({ ...request, ...(signal && { signal }), alone })
  const send = async (request: FuzzRequest): Promise<Answer> => {
    const response = await open(request, AbortSignal.timeout(patienceMs))
    return { code: response.statusCode ?? 0, body: await text(response) }
  }
  const get = (path: string): FuzzRequest => ({ method: 'GET', path, headers: {}, body: undefined })

  const stop = new AbortController()
  let watches = 0
  const seen = await Promise.all(
    resources.map(async ({ path, plural }) => {
      const all = `${path}/${plural}`
      const objects = new Map<string, string>()
      watches++
      const stream = await open(get(`${all}?watch=1`), stop.signal, true)
      const ended = follow(stream, objects)
      ended.catch(() => {}) // Asked for at the end.
      return { all, objects, ended }
    }),
  )
  return {
    send,
    watches: () => watches,
    /** Many watches at once, whose clients leave without a word. */
    watchBriefly: async (count: number): Promise<void> => {
      const leave = new AbortController()
      watches += count
      const opened = Array.from({ length: count }, (_, i) =>
        open(
          get(
            `${resources[i % resources.length]?.path}/${resources[i % resources.length]?.plural}?watch=1`,
          ),
          leave.signal,
          true,
        )
          .then((response) => response.on('error', () => {}).resume())
          .catch(() => {}),
      )
      await Promise.all(opened)
      leave.abort()
    },
    /** Each list is what the watch of it has added up to. */
    check: async (): Promise<void> => {
      for (const { all, objects } of seen) {
        const until = performance.now() + patienceMs
        for (;;) {
          const { code, body } = await send(get(all))
          assert.equal(code, 200, body.slice(0, 500))
          const listed = new Map(itemsOf(body).map(identity))
          try {
            assert.deepEqual(sorted(objects), sorted(listed))
            break
          } catch (error) {
            if (performance.now() > until) throw error
            await sleep(20)
          }
        }
      }
    },
    clear: async (): Promise<void> => {
      for (const { path, plural, namespaced } of resources) {
        if (!namespaced) continue
        for (const namespace of ['default', 'kube-public', 'n0']) {
          const collection = `${path}/namespaces/${namespace}/${plural}`
          const { body } = await send(get(collection))
          const items = itemsOf(body)
          await Promise.all(
            items.map(async ({ metadata: { name, finalizers } }) => {
              const at = `${collection}/${name}`
              if (finalizers)
                await send({
                  method: 'PATCH',
                  path: at,
                  headers: { 'content-type': 'application/merge-patch+json' },
                  body: Buffer.from('{"metadata":{"finalizers":null}}'),
                })
              await send({ ...get(`${at}?gracePeriodSeconds=0`), method: 'DELETE' })
            }),
          )
        }
      }
    },
    [Symbol.asyncDispose]: async (): Promise<void> => {
      stop.abort()
      await served[Symbol.asyncDispose]()
    },
  }
}

interface Item {
  readonly metadata: {
    readonly namespace?: string
    readonly name: string
    readonly resourceVersion: string
    readonly finalizers?: unknown
  }
}

function itemsOf(body: string): readonly Item[] {
  const { items } = JSON.parse(body) as { items?: readonly Item[] }
  return items ?? []
}

const identity = ({ metadata }: Item): [string, string] => [
  `${metadata.namespace ?? ''}/${metadata.name}`,
  metadata.resourceVersion,
]

const sorted = (objects: ReadonlyMap<string, string>): [string, string][] =>
  [...objects].toSorted(([a], [b]) => (a < b ? -1 : 1))

/** Adds the events of a watch up. Rejects when it ends with an error. */
async function follow(stream: IncomingMessage, objects: Map<string, string>): Promise<void> {
  let rest = ''
  stream.setEncoding('utf8')
  for await (const chunk of stream) {
    rest += String(chunk)
    const lines = rest.split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const { type, object } = JSON.parse(line) as { type: string; object: Item }
      if (type === 'ERROR') throw new Error(`a watch ended: ${line.slice(0, 500)}`)
      const [key, version] = identity(object)
      if (type === 'DELETED') objects.delete(key)
      else objects.set(key, version)
    }
  }
}

function heapMb(): number {
  collectGarbage()
  return Math.round(process.memoryUsage().heapUsed / 1e6)
}
