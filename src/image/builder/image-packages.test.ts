import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openContentStore } from '../content-store.ts'
import { packFiles } from '../layer.ts'
import { packagesOf } from './image-packages.ts'

test('packages of an image by what lies in its layers; what an upper layer removes is gone', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'ebb-packages-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const store = await openContentStore(folder)
  const layer = async (files: Readonly<Record<string, string>>) =>
    (
      await packFiles(
        store,
        Object.entries(files).map(([name, text]) => ({ name, from: Buffer.from(text) })),
      )
    ).descriptor
  const layers = [
    await layer({
      'var/lib/dpkg/status':
        'Package: libc6\nStatus: install ok installed\nVersion: 2.36-9+deb12u4\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n',
      'lib/apk/db/installed': 'C:x\nP:musl\nV:1.2.5-r0\nL:MIT\n\nP:zlib\nV:1.3-r2\n',
      'app/node_modules/left/package.json': '{"name":"left","version":"1.0.0"}',
      'app/node_modules/left/lib/package.json': '{"name":"inner","version":"9.9.9"}',
      'opt/py/site-packages/x.dist-info/METADATA': 'Name: X\nVersion: 2\n\nText',
    }),
    await layer({
      'app/node_modules/.wh.left': '',
      'app/node_modules/right/package.json': '{"name":"right","version":"3.0.0"}',
    }),
  ]
  const cache = join(folder, 'build')
  const purls = async () => (await packagesOf(store, layers, cache)).map(({ purl }) => purl)
  const expected = [
    'pkg:apk/alpine/musl@1.2.5-r0',
    'pkg:apk/alpine/zlib@1.3-r2',
    'pkg:deb/debian/libc6@2.36-9%2Bdeb12u4',
    'pkg:npm/right@3.0.0',
    'pkg:pypi/x@2',
  ]
  assert.deepEqual(await purls(), expected)
  // Remembered: the layers are not needed again.
  for (const { digest } of layers) await store.remove(digest)
  assert.deepEqual(await purls(), expected)
})
