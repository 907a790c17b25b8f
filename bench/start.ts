/** From `ebb up` to ready, memory of everything idle, and from create to the first 200. */
import { startEbb, until, type Ebb } from '../test/e2e/platform.ts'
import { memoryOf, processesOf } from './processes.ts'
import { median, percentile, type Row } from './row.ts'

export async function rows(): Promise<readonly Row[]> {
  const readyMs: number[] = []
  for (let i = 0; i < 5; i++) {
    await using ebb = await startEbb()
    readyMs.push(Number(/Ready in (\d+) ms/.exec(ebb.output)?.[1]))
  }
  await using ebb = await startEbb()
  await new Promise((resolve) => setTimeout(resolve, 3_000))
  const memory = memoryOf(processesOf(ebb))
  const firstMs = await createToFirstAnswer(ebb, 20)
  return [
    {
      name: '`ebb up` in an empty directory to ready, median of 5',
      value: median(readyMs),
      unit: 'ms',
      goal: '< 1000 ms',
    },
    {
      name: 'resident memory idle, all processes (shared pages once)',
      value: memory.resident,
      unit: 'MB',
      goal: '< 200 MB',
    },
    {
      name: 'the same as a sum of RSS (the node binary once in each)',
      value: memory.sumOfRss,
      unit: 'MB',
    },
    {
      name: 'create to Ready and first 200, p50',
      value: median(firstMs),
      unit: 'ms',
      goal: '<= 400 ms',
    },
    { name: 'create to Ready and first 200, p95', value: percentile(firstMs, 95), unit: 'ms' },
  ]
}

async function createToFirstAnswer(ebb: Ebb, count: number): Promise<number[]> {
  await ebb.build('hello-serverless', 'dev.local/hello:bench')
  const client = await apiClient(ebb)
  const times: number[] = []
  for (let i = 0; i < count; i++) {
    const name = `bench-${i}`
    const start = performance.now()
    await client.create(name, {})
    await until(`${name} is ready`, () => client.isReady(name))
    const { status } = await ebb.get(`${name}.default.localhost`)
    if (status !== 200) throw new Error(`${name} answered ${status}`)
    times.push(performance.now() - start)
  }
  return times
}

/** Just enough of a client, over the kubeconfig's own credentials, to create Services fast. */
export async function apiClient(ebb: Ebb) {
  const { clientOf } = await import('../src/cli/api-client.ts')
  const { Service } = await import('../src/serving/api/service.ts')
  const { client } = await clientOf(ebb.kubeconfig)
  return {
    create: (name: string, annotations: Record<string, string>) =>
      client.create(Service, {
        apiVersion: 'serving.knative.dev/v1',
        kind: 'Service',
        metadata: { name, namespace: 'default' },
        spec: {
          template: {
            metadata: { annotations },
            spec: { containers: [{ name: 'user-container', image: 'dev.local/hello:bench' }] },
          },
        },
      }),
    async isReady(name: string): Promise<boolean> {
      const service = await client.get(Service, { namespace: 'default', name })
      return (
        service.status?.conditions?.some(
          ({ type, status }) => type === 'Ready' && status === 'True',
        ) ?? false
      )
    },
  }
}
