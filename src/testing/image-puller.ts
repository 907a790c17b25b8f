/**
 * The process that the image store's crash test kills: `node image-puller.ts DATADIR HOST NAME…` pulls and unpacks images
 * again and again, forgetting each before. It prints a line when it begins.
 */
import { join } from 'node:path'
import { openContentStore } from '../image/content-store.ts'
import { parseReference } from '../image/reference.ts'
import { readManifest } from '../image/manifest.ts'
import { noKeys } from '../image/registry/credentials.ts'
import { createPuller } from '../image/registry/puller.ts'
import { removeFolder } from '../image/removal.ts'
import { unpackImage } from '../image/unpack.ts'
import { noRegistries } from '../lib/registries.ts'
import { systemClock } from '../lib/clock.ts'

const [dataDir = '', host = '', ...names] = process.argv.slice(2)
const store = await openContentStore(dataDir)
const settings = { registries: noRegistries, maxParallel: 3, maxImageBytes: 1 << 30 }
const puller = createPuller({ store, clock: systemClock, keys: noKeys, settings: () => settings })
process.stdout.write('begun\n')

for (let i = 0; ; i++) {
  const name = `${host}/${names[i % names.length]}`
  const { digest } = await puller.pull(parseReference(name), noKeys)
  const { layers } = await readManifest(store, digest)
  await unpackImage(store, digest, layers)
  // As the collection of unused images does.
  await store.untag(name)
  for (const blob of [digest, ...layers.map((layer) => layer.digest)]) await store.remove(blob)
  await removeFolder(join(store.directory, 'rootfs', digest.slice(7)))
}
