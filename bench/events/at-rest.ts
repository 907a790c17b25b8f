/** A platform with many PingSources and Triggers that have nothing to do: what its processes hold and spend. */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { clientOf } from '../../src/cli/api-client.ts'
import { Broker } from '../../src/eventing/api/eventing/broker.ts'
import { PingSource } from '../../src/eventing/api/sources/ping-source.ts'
import { Trigger } from '../../src/eventing/api/eventing/trigger.ts'
import type { KubeObject } from '../../src/kube/api/meta.ts'
import { startEbb, until } from '../../test/e2e/platform.ts'
import { cpuSeconds, memoryOf, processesOf } from '../processes.ts'
import type { Row } from '../row.ts'

/** At most so long is waited until what creating set off has ended. */
const settleSeconds = 10

/** Of each kind `count`; they are looked at for `seconds`. */
export async function atRest(count: number, seconds: number): Promise<readonly Row[]> {
  await using ebb = await startEbb()
  await using connected = await clientOf(ebb.kubeconfig)
  const { client } = connected
  const metadata = (name: string) => ({ name, namespace: 'default' })
  const start = performance.now()
  await client.create(Broker, {
    apiVersion: 'eventing.knative.dev/v1',
    kind: 'Broker',
    metadata: metadata('default'),
    spec: {},
  })
  const makers = Array.from({ length: count }, (_, i) => [
    () =>
      client.create(Trigger, {
        apiVersion: 'eventing.knative.dev/v1',
        kind: 'Trigger',
        metadata: metadata(`trigger-${i}`),
        spec: {
          broker: 'default',
          filter: { attributes: { type: `type-${i}` } },
          subscriber: { uri: 'http://127.0.0.1:9/' },
        },
      }),
    () =>
      client.create(PingSource, {
        apiVersion: 'sources.knative.dev/v1',
        kind: 'PingSource',
        metadata: metadata(`ping-${i}`),
        spec: {
          // Each at a minute of its own of New Year's Day.
          schedule: `${i % 60} ${Math.floor(i / 60) % 24} 1 1 *`,
          data: `{"n":${i}}`,
          contentType: 'application/json',
          sink: {
            ref: { apiVersion: 'eventing.knative.dev/v1', kind: 'Broker', name: 'default' },
          },
        },
      }),
  ]).flat()
  const worker = async () => {
    for (let make = makers.pop(); make; make = makers.pop()) await make()
  }
  await Promise.all(Array.from({ length: 16 }, worker))
  for (const kind of [Trigger, PingSource])
    await until(
      `all of ${kind.plural} are ready`,
      async () => {
        const { items } = await client.list<Trigger | PingSource>(kind, 'default')
        return items.length === count && items.every(isReady)
      },
      300_000,
    )
  const readySeconds = (performance.now() - start) / 1000
  await sleep(Math.min(settleSeconds, seconds) * 1000)
  const all = processesOf(ebb)
  const engine = all.filter((pid) =>
    readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('eventing/broker/main'),
  )
  const [before, engineBefore] = [cpuSeconds(all), cpuSeconds(engine)]
  await sleep(seconds * 1000)
  const share = (used: number) => (used / seconds) * 100
  const what = `${count} PingSources and ${count} Triggers`
  return [
    { name: `${what}: all Ready after`, value: readySeconds, unit: 's' },
    {
      name: `${what} at rest: memory of all processes`,
      value: memoryOf(all).resident,
      unit: 'MB',
    },
    {
      name: `${what} at rest: of it the event engine`,
      value: memoryOf(engine).resident,
      unit: 'MB',
    },
    {
      name: `${what} at rest: CPU of all processes`,
      value: share(cpuSeconds(all) - before),
      unit: '% of a core',
    },
    {
      name: `${what} at rest: of it the event engine`,
      value: share(cpuSeconds(engine) - engineBefore),
      unit: '% of a core',
    },
  ]
}

interface WithConditions extends KubeObject {
  readonly status?: { readonly conditions?: readonly { type: string; status: string }[] }
}

const isReady = ({ status }: WithConditions): boolean =>
  status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false
