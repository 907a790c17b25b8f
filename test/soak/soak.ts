/**
 * A soak of the whole platform: traffic that accounts for every request, while revisions roll out, pods come, go and
 * are killed, and the processes of the platform are killed or replaced. Faults come from a seed.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { randomInt, seededRandom } from '../../src/lib/random.ts'
import { configure, hurry, request, startEbb, until, type Ebb } from '../e2e/platform.ts'
import { http2Client, SharedSession } from './http2-client.ts'
import { client, type Account, type Failure } from './traffic.ts'

export interface SoakOptions {
  readonly seed: number
  readonly durationMs: number
  readonly clients: number
  /** Time between two faults. */
  readonly faultEveryMs: number
  readonly say?: (line: string) => void
}

export interface SoakReport {
  readonly account: Account
  readonly faults: readonly Fault[]
  /** Failures that no fault accounts for. */
  readonly unexplained: readonly Failure[]
  /** Requests that were on their way to a pod when it was killed and may not be sent twice. */
  readonly explained: readonly Failure[]
}

export interface Fault {
  readonly atMs: number
  readonly what: FaultName
}

export type FaultName =
  | 'rollout'
  | 'quiet'
  | 'kill pod'
  | 'delete pod'
  | 'kill control plane'
  | 'replace gateway'

const faults: readonly FaultName[] = [
  'rollout',
  'quiet',
  'kill pod',
  'delete pod',
  'kill control plane',
  'replace gateway',
]

const host = 'soak.default.localhost'

const manifest = (generation: number): string => `
apiVersion: serving.knative.dev/v1
kind: Service
metadata: { name: soak }
spec:
  template:
    metadata:
      annotations: { autoscaling.knative.dev/target: "8", autoscaling.knative.dev/max-scale: "4" }
    spec:
      containerConcurrency: ${generation % 2 === 0 ? 0 : 10}
      containers:
        - image: dev.local/soak:1
          env: [{ name: GENERATION, value: "${generation}" }]
`

export async function soak(options: SoakOptions): Promise<SoakReport> {
  const { durationMs, say = () => {} } = options
  const random = seededRandom(options.seed)
  await using ebb = await startEbb()
  await ebb.build('soak', 'dev.local/soak:1')
  await hurry(ebb)
  let generation = 1
  let workers = 1
  const rollout = async (): Promise<void> => {
    const file = await ebb.file('soak.yaml', manifest(generation++))
    await ebb.ok('apply', '-f', file)
  }
  await configure(ebb, 'config-gc', {
    'min-non-active-revisions': '1',
    'max-non-active-revisions': '3',
  })
  await rollout()
  await ebb.ok('wait', 'ksvc/soak', '--for=condition=Ready', '--timeout=30s')

  const account: Account = {
    sent: 0,
    answered: 0,
    byRevision: new Map(),
    failures: [],
    longestMs: 0,
    resent: 0,
  }
  const startedMs = performance.now()
  const sinceMs = (): number => performance.now() - startedMs
  const done: Fault[] = []
  let active = options.clients
  let over = false
  const sessions: SharedSession[] = []
  const clients = Array.from({ length: options.clients }, (_, at) => {
    const traffic = {
      address: ebb.gateway,
      host,
      random: seededRandom(options.seed * 1000 + at),
      startedMs,
      account,
      stopped: () => over,
      pauseMs: () => (at < active ? 0 : 50),
    }
    // Every fourth client speaks HTTP/2, three to a connection.
    if (at % 4 !== 3) return client(`c${at}`, traffic)
    if (at % 12 === 3) sessions.push(new SharedSession(ebb.gateway))
    return http2Client(`h${at}`, sessions.at(-1)!, traffic)
  })
  while (sinceMs() < durationMs) {
    await pause(options.faultEveryMs)
    const what = faults[randomInt(random, faults.length)]!
    done.push({ atMs: sinceMs(), what })
    say(`${(sinceMs() / 1000).toFixed(1)} s: ${what} (${account.answered} answered so far)`)
    active = options.clients
    switch (what) {
      case 'rollout':
        await rollout()
        break
      case 'quiet':
        active = randomInt(random, 2)
        break
      case 'kill pod':
        await killPod(ebb)
        break
      case 'delete pod': {
        const names = await podsOf(ebb)
        const name = names[randomInt(random, Math.max(1, names.length))]
        if (name) await ebb.kubectl('delete', 'pod', name, '--wait=false')
        break
      }
      case 'kill control plane':
        await ebb.kill()
        await ebb.restart('--gateway-workers', String(workers))
        break
      case 'replace gateway':
        // A gateway with other flags than wanted hands its sockets to one that has them.
        workers = 3 - workers
        await ebb.kill()
        await ebb.restart('--gateway-workers', String(workers))
        break
      default:
        what satisfies never
    }
  }
  over = true
  await Promise.all(clients)
  for (const session of sessions) session.close()
  await until('the service is ready after all', async () =>
    /True/.test((await ebb.kubectl('get', 'ksvc', 'soak', '--no-headers')).stdout),
  )
  const explained = account.failures.filter((failure) => isExplained(failure, done))
  return {
    account,
    faults: done,
    explained,
    unexplained: account.failures.filter((failure) => !explained.includes(failure)),
  }
}

/** Nobody can tell whether a killed pod had begun to act on a request that is not idempotent, or answer for it. */
const isExplained = (
  { method, what, sentMs, failedMs }: Failure,
  done: readonly Fault[],
): boolean =>
  done.some(
    (fault) => fault.what === 'kill pod' && sentMs <= fault.atMs + 1000 && failedMs >= fault.atMs,
  ) &&
  (method === 'POST' ? what.startsWith('502') || /closed/.test(what) : /closed|reset/i.test(what))

const podsOf = async (ebb: Ebb): Promise<readonly string[]> =>
  (
    await ebb.kubectl(
      'get',
      'pods',
      '-l',
      'serving.knative.dev/service=soak',
      '--field-selector=status.phase=Running',
      '-o',
      'jsonpath={.items[*].metadata.name}',
    )
  ).stdout
    .split(' ')
    .filter((name) => name !== '')

/** Has one of the pods kill itself, as kill -9 does; whichever the gateway picks. */
const killPod = (ebb: Ebb): Promise<unknown> =>
  request(ebb.gateway, host, { path: '/die', method: 'POST' }).catch(() => undefined)
