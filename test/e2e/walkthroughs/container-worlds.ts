/**
 * Worlds in which the stand-in programs are images that this machine has never seen: they lie in a docker-registry, and the
 * names of the manifests lead there by mirror rules. Run in sandboxes of the platform's own, or by a Docker Engine.
 */
import { parseReference } from '../../../src/image/reference.ts'
import { openDockerd, withoutDockerd } from '../dockerd.ts'
import { configure, startEbb } from '../platform.ts'
import { startDockerRegistry, withoutRegistry } from '../registry.ts'
import { buildContainerImages, withoutPrograms } from './container-images.ts'
import type { Opener, World } from './world.ts'

/** The place in our registry that stands for a repository elsewhere: what the rules below make of it. */
const mirrored = (image: string): string => {
  const { registry, repository, tag } = parseReference(image)
  const path =
    registry === 'docker.io' ? `hub/${repository}` : repository.replace('knative-sample', 'mirror')
  return `${path}:${tag}`
}

const rules = (endpoint: string) => ({
  mirrors: {
    'registry.cn-hangzhou.aliyuncs.com': {
      endpoint: [endpoint],
      rewrite: { '^knative-sample/(.*)': 'mirror/$1' },
      fallback: 'false',
    },
    'docker.io': { endpoint: [endpoint], rewrite: { '^(.*)$': 'hub/$1' }, fallback: 'false' },
  },
})

async function containerWorld(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  stack: AsyncDisposableStack,
): Promise<World> {
  const registry = stack.use(await startDockerRegistry())
  const images = stack.use(await buildContainerImages())
  const pushed = new Set<string>()
  return {
    async start(domain, wanted) {
      for (const [image, app] of Object.entries(wanted)) {
        if (pushed.has(image)) continue
        await images.push(app, `${registry.host}/${mirrored(image)}`)
        pushed.add(image)
      }
      const ebb = await startEbb({ args: ['--domain', domain, ...args], env })
      const text = JSON.stringify(rules(`http://${registry.host}`))
      await configure(ebb, 'config-registries', { 'registries.yaml': text })
      return ebb
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}

/** Whatever happens on the way, nothing that was started is left. */
async function opened<Found>(
  open: (stack: AsyncDisposableStack) => Promise<Found>,
): Promise<Found> {
  const stack = new AsyncDisposableStack()
  try {
    return await open(stack)
  } catch (error) {
    await stack.disposeAsync()
    throw error
  }
}

export const sandbox: Opener = {
  name: 'the process runtime with images from a registry',
  without: () =>
    (process.platform !== 'linux' && 'containers without an engine take Linux') ||
    withoutRegistry ||
    withoutPrograms(),
  open: () => opened((stack) => containerWorld(['--runtime', 'process'], {}, stack)),
}

export const docker: Opener = {
  name: 'Docker with images from a registry',
  without: () => withoutDockerd() || withoutRegistry || withoutPrograms(),
  open: () =>
    opened(async (stack) => {
      const dockerd = await openDockerd()
      if (typeof dockerd === 'string') return dockerd
      const { host } = stack.use(dockerd)
      return await containerWorld(['--runtime', 'docker'], { DOCKER_HOST: host }, stack)
    }),
}
