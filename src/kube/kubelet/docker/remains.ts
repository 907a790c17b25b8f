/** Everything of one data directory in an engine, removed: at the end of a platform, or after one that was killed. */
import { createHash } from 'node:crypto'
import type { Clock } from '../../../lib/clock.ts'
import type { Engine } from './engine.ts'
import { label, networkName, ofPlatform, repositoryOf } from './labels.ts'

/** How a data directory is named in labels. */
export const platformOf = (dataDir: string): string =>
  createHash('sha256').update(dataDir).digest('hex').slice(0, 12)

/**
 * Containers get SIGTERM and `graceMs`; then they go, and network and images with them. False when there was nothing.
 * Rejects, with all else removed, when the engine keeps the network.
 */
export async function removeRemains(
  engine: Engine,
  platform: string,
  graceMs: number,
  clock: Clock,
): Promise<boolean> {
  const all = await engine.containers(ofPlatform(platform))
  const programs = all.filter(({ labels }) => labels[label.role] !== 'holder')
  await Promise.all(
    programs.map(async ({ id, state }) => {
      if (state === 'paused') await engine.unpause(id)
      if (state !== 'running' && state !== 'paused') return
      await engine.kill(id, (await engine.inspect(id))?.stopSignal || 'SIGTERM')
    }),
  )
  const patience = new AbortController()
  const cancel = clock.after(graceMs, () => patience.abort())
  // Whoever does not end in time, or is gone already, is removed all the same.
  await Promise.allSettled(programs.map(({ id }) => engine.wait(id, patience.signal)))
  cancel()
  await removeContainers(engine, platform)
  // Engines are known to count containers that are gone ("has active endpoints") until they start again.
  const [network] = await Promise.allSettled([engine.removeNetwork(networkName(platform))])
  const images = await engine.images(repositoryOf(platform))
  await Promise.all(images.map((name) => engine.removeImage(name)))
  if (network.status === 'rejected') throw keptNetwork(platform, network.reason)
  return all.length > 0
}

/** Programs first, so that none loses its network while it runs. */
async function removeContainers(engine: Engine, platform: string): Promise<void> {
  const all = await engine.containers(ofPlatform(platform))
  for (const holders of [false, true])
    await Promise.all(
      all
        .filter(({ labels }) => (labels[label.role] === 'holder') === holders)
        .map(({ id }) => engine.remove(id)),
    )
}

const keptNetwork = (platform: string, cause: unknown): Error =>
  new Error(
    `the engine keeps the network ${networkName(platform)} (${cause instanceof Error ? cause.message : String(cause)}); all else is removed. Restart the engine, then: docker network rm ${networkName(platform)}`,
    { cause },
  )
