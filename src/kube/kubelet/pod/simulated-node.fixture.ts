/** A node agent in simulated time, over an API in memory and a runtime of promises: what tests of a pod's life stand on. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { fakeImages, fakeRuntime } from '../../../testing/fake-runtime.ts'
import { inMemoryPlatform } from '../../../testing/platform.ts'
import { SimClock } from '../../../testing/sim-clock.ts'
import { coreKinds } from '../../api/kinds.ts'
import { Namespace } from '../../api/namespace.ts'
import { Pod } from '../../api/pod.ts'
import { startKubelet, type KubeletDeps } from '../kubelet.ts'
import { openPodLogs } from '../logs/pod-logs.ts'

/** Ends with the test. `options` may depend on the node's clock. */
export async function simulatedNode(
  t: TestContext,
  options: Partial<KubeletDeps> | ((clock: SimClock) => Partial<KubeletDeps>) = {},
) {
  const clock = new SimClock()
  const dataDir = await mkdtemp(join(tmpdir(), 'ebb-pod-'))
  const platform = inMemoryPlatform({ kinds: coreKinds, clock })
  await platform.client
    .create(Namespace, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default' } })
    .catch(() => {})
  const runtime = fakeRuntime(clock)
  const logs = openPodLogs({ dataDir, clock })
  const start = () =>
    startKubelet({
      ...platform,
      runtime,
      images: fakeImages(),
      logs,
      nodeName: 'node',
      dataDir,
      ...(typeof options === 'function' ? options(clock) : options),
    })
  let kubelet = await start()
  t.after(async () => {
    await kubelet[Symbol.asyncDispose]()
    logs[Symbol.dispose]()
    await platform[Symbol.asyncDispose]()
    await rm(dataDir, { recursive: true, force: true })
  })
  const read = (name = 'p') => platform.informers.for(Pod).get({ namespace: 'default', name })
  const condition = (type: string, name?: string) =>
    read(name)?.status?.conditions?.find((one) => one.type === type)
  return {
    ...platform,
    clock,
    dataDir,
    runtime,
    /** Advances until `wanted` holds. File reads settle in their own, real time: that is what the limit is in. */
    async until(wanted: () => boolean, stepMs = 0) {
      const start = performance.now()
      while (!wanted()) {
        assert.ok(performance.now() - start < 10_000, 'it never came about')
        await clock.advance(stepMs)
      }
    },
    read,
    condition,
    isReady: () => condition('Ready')?.status === 'True',
    /** A pod of one container, bound to the node. */
    create: (spec: object = {}, container: object = {}, name = 'p') =>
      platform.client.create(Pod, {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name, namespace: 'default' },
        spec: {
          nodeName: 'node',
          ...spec,
          containers: [{ name: 'c', image: 'i', ...container }],
        } as Pod['spec'],
      }),
    /** Another agent takes over where this one was. */
    async restart() {
      await kubelet[Symbol.asyncDispose]()
      kubelet = await start()
    },
  }
}
