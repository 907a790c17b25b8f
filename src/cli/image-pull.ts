/**
 * `ebb image pull`: brings an image into the store before anything needs it, by the platform's own rules where one runs:
 * mirrors, credentials and limits of config-registries; else by `--registries FILE`.
 */
import { existsSync, readFileSync } from 'node:fs'
import { systemClock } from '../lib/clock.ts'
import type { ContentStore } from '../image/content-store.ts'
import type { Reference } from '../image/reference.ts'
import type { Puller } from '../image/registry/puller.ts'
import { dataDirOf, layoutOf, registryEnvironment } from '../platform/config.ts'
import type { RegistriesConfig } from '../serving/api/config/registries.ts'
import type { Arguments, Output } from './command.ts'

/** Prints the image's name with its digest. Rejects with RegistryError, InvalidReference, or what is wrong with the file. */
export async function pullImage(
  store: ContentStore,
  args: Arguments,
  out: Output,
): Promise<number> {
  const [, name = ''] = args.positionals
  const { parseReference, referenceText } = await import('../image/reference.ts')
  const reference = parseReference(name)
  const { registries, maxParallel, maxImageBytes } = await settingsOf(args, out)
  const { createPuller } = await import('../image/registry/puller.ts')
  const { dockerConfigKeyring } = await import('../image/registry/docker-config.ts')
  const { noKeys } = await import('../image/registry/credentials.ts')
  const environment = registryEnvironment()
  using puller = createPuller({
    store,
    clock: systemClock,
    settings: () => ({ registries, maxParallel, maxImageBytes }),
    keys: dockerConfigKeyring({
      folder: environment.dockerConfigFolder,
      warn: (text) => out.note(text),
    }),
    proxy: environment.proxy,
  })
  const startedMs = systemClock.monotonic()
  const { digest, sizeBytes } = await puller.pull(reference, noKeys)
  await pullReferrers(puller, reference, digest, store, out)
  const seconds = ((systemClock.monotonic() - startedMs) / 1000).toFixed(1)
  out.note(`ebb image pull: ${sizeBytes} bytes in ${seconds} s`)
  out.print(`${referenceText(reference).replace(/@.*/, '')}@${digest}`)
  return 0
}

/** A courtesy: without them the image is as good. */
async function pullReferrers(
  puller: Puller,
  reference: Reference,
  digest: string,
  store: ContentStore,
  out: Output,
): Promise<void> {
  const { readManifest } = await import('../image/manifest.ts')
  const { noKeys } = await import('../image/registry/credentials.ts')
  const { digest: own } = await readManifest(store, digest)
  for (const subject of new Set([digest, own]))
    try {
      const found = await puller.pullReferrers(reference, subject, noKeys)
      if (found > 0) out.note(`ebb image pull: ${found} manifest(s) about ${subject}`)
    } catch (error) {
      out.note(`ebb image pull: what speaks about ${subject} could not be had: ${String(error)}`)
    }
}

/** What the running platform's ConfigMap says; a file that is named counts before it. */
async function settingsOf(args: Arguments, out: Output): Promise<RegistriesConfig> {
  const { configRegistries, readRegistries } = await import('../serving/api/config/registries.ts')
  const running = await configMapOf(args, out)
  const settings = running ? configRegistries.from(running) : configRegistries.defaults
  const file = args.string('registries')
  const given = file === undefined ? undefined : readRegistries(readFileSync(file, 'utf8'))
  const offline = args.boolean('offline') || settings.registries.offline
  return { ...settings, registries: { ...settings.registries, ...given, offline } }
}

async function configMapOf(args: Arguments, out: Output) {
  const layout = layoutOf(dataDirOf(args.string('data-dir')))
  if (!existsSync(layout.controlSocket)) return undefined
  const { clientOf } = await import('./api-client.ts')
  const { ConfigMap } = await import('../kube/api/config-map.ts')
  const { systemNamespace } = await import('../serving/api/names.ts')
  const { hasReason } = await import('../kube/api/status-error.ts')
  try {
    await using connection = await clientOf(layout.kubeconfig)
    return await connection.client.get(ConfigMap, {
      namespace: systemNamespace,
      name: 'config-registries',
    })
  } catch (error) {
    if (!hasReason(error, 'NotFound'))
      out.note(`ebb image pull: the platform does not say its registries: ${String(error)}`)
    return undefined
  }
}
