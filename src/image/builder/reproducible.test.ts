/** The same source makes the same digest: whatever the folder, the order and the time in which it was written. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { SimClock } from '../../testing/sim-clock.ts'
import { buildImage } from '../build.ts'
import { openContentStore } from '../content-store.ts'
import { runTool } from './tool.ts'

const name = fc
  .stringMatching(/^[a-zäß][a-z0-9_. -]{0,40}$/)
  .filter((text) => !/[. ]$|^\./.test(text))
const path = fc
  .array(name, { minLength: 1, maxLength: 4 })
  .map((parts) =>
    parts.map((part, i) => (i < parts.length - 1 ? `d-${part}` : `f-${part}`)).join('/'),
  )
const files = fc.uniqueArray(
  fc.record({
    path,
    text: fc.string({ maxLength: 2000 }),
    mode: fc.constantFrom(0o600, 0o644, 0o755),
    isModule: fc.boolean(),
  }),
  { selector: (file) => `${file.path} ${file.isModule}`, maxLength: 12 },
)
type Files = typeof files extends fc.Arbitrary<infer T> ? T : never

test('property: another folder, another order, another time: the same digest', async () => {
  const build = async (given: Files, mtimeS: number, kind: 'node' | 'static'): Promise<string> => {
    const root = await mkdtemp(join(tmpdir(), 'ebb-same-'))
    try {
      const folder = join(root, `source-${mtimeS}`)
      const all = [
        ...given,
        {
          path: kind === 'node' ? 'index.js' : 'index.html',
          text: 'x',
          mode: 0o644,
          isModule: false,
        },
      ]
      for (const { path: file, text, mode, isModule } of mtimeS > 5 ? all.toReversed() : all) {
        const at = join(folder, isModule ? 'node_modules' : '', file)
        await mkdir(dirname(at), { recursive: true })
        await writeFile(at, text, { mode })
        await utimes(at, mtimeS, mtimeS)
      }
      await symlink('index.js', join(folder, 'link'))
      const store = await openContentStore(join(root, 'data'))
      const clock = new SimClock()
      return (await buildImage({ path: folder, reference: 'x', store, clock, kind })).digest
    } finally {
      await rm(root, { recursive: true, force: true })
    }
  }
  await fc.assert(
    fc.asyncProperty(files, fc.constantFrom('node', 'static'), async (given, kind) => {
      assert.equal(await build(given, 1, kind), await build(given, 1_700_000_000, kind))
    }),
    { numRuns: 8 },
  )
})

test('SOURCE_DATE_EPOCH is what an image says it was made at', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'ebb-epoch-'))
  t.after(() => rm(root, { recursive: true, force: true }))
  await writeFile(join(root, 'index.js'), '')
  const store = await openContentStore(join(root, 'data'))
  const options = { path: join(root, 'index.js'), reference: 'x', store, clock: new SimClock() }
  const [zero, later] = [
    await buildImage(options),
    await buildImage({ ...options, mtimeS: 1_000_000_000 }),
  ]
  assert.notEqual(zero.digest, later.digest)
  const manifest = JSON.parse((await store.read(later.digest)).toString()) as {
    readonly config: { readonly digest: string }
  }
  const config = (await store.read(manifest.config.digest)).toString()
  assert.match(config, /"created":"2001-09-09T01:46:40Z"/)
})

test('a program that is not there is said to be missing, at once', async () => {
  await assert.rejects(runTool('ebb-no-such-program', []), {
    name: 'BuildError',
    message: 'ebb-no-such-program is not in the PATH',
  })
})
