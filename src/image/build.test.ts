import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, readdir, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { SimClock } from '../testing/sim-clock.ts'
import { buildImage } from './build.ts'
import { openContentStore } from './content-store.ts'
import { readManifest } from './manifest.ts'
import { commandOf } from './builder/command.ts'
import { unpackImage } from './unpack.ts'

const clock = new SimClock()

async function folder(
  t: TestContext,
  files: Readonly<Record<string, string>> = {},
): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'ebb-image-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) {
    await mkdir(join(path, name, '..'), { recursive: true })
    await writeFile(join(path, name), text)
  }
  return path
}

const build = async (t: TestContext, path: string, reference = 'hello') => {
  const store = await openContentStore(await folder(t))
  const { digest } = await buildImage({ path, reference, store, clock })
  const manifest = await readManifest(store, digest)
  return { store, digest, manifest, root: await unpackImage(store, digest, manifest.layers) }
}

test('a Node project becomes an image with its dependencies as a layer of their own', async (t) => {
  const project = await folder(t, {
    'package.json': '{"main": "./server", "dependencies": {"left": "1"}}',
    'server.js': 'console.log(1)',
    'lib/deep/a.js': 'x'.repeat(300_000),
    'node_modules/left/index.js': 'module.exports = 1',
    'node_modules/.cache/x': 'never packed',
    'notes.md': 'ignored',
    '.dockerignore': '*.md\n# comment\n',
    '.git/config': 'never packed',
  })
  await symlink('../server.js', join(project, 'lib', 'link.js'))
  const { store, manifest, root } = await build(t, project, 'gcr.io/some/app:v1')
  assert.equal(manifest.layers.length, 2)
  assert.deepEqual(manifest.config.entrypoint, ['node', 'server.js'])
  assert.equal(manifest.config.workingDir, '/app')
  assert.deepEqual(manifest.config.exposedPorts, [8080])
  assert.deepEqual((await readdir(join(root, 'app'), { recursive: true })).sort(), [
    'lib',
    'lib/deep',
    'lib/deep/a.js',
    'lib/link.js',
    'node_modules',
    'node_modules/left',
    'node_modules/left/index.js',
    'package.json',
    'server.js',
  ])
  assert.equal(await readFile(join(root, 'app', 'lib', 'link.js'), 'utf8'), 'console.log(1)')
  assert.deepEqual(
    (await store.list()).map(({ reference }) => reference),
    ['gcr.io/some/app:v1'],
  )
  const first = manifest.layers[0]
  assert.ok(first)
  const listing = execFileSync('tar', ['-tzf', store.blobPath(first.digest)], { encoding: 'utf8' })
  assert.equal(
    listing,
    'app/\napp/node_modules/\napp/node_modules/left/\napp/node_modules/left/index.js\n',
  )
})

test('the same input makes the same digest, whenever it was written', async (t) => {
  const files = { 'index.ts': 'const a: number = 1', 'b/c.json': '{}' }
  const [one, two] = [await folder(t, files), await folder(t, files)]
  await utimes(join(two, 'index.ts'), 1, 1)
  assert.equal((await build(t, one)).digest, (await build(t, two)).digest)
})

test('a single file is an image', async (t) => {
  const path = await folder(t, { 'app.ts': '1', 'other.ts': '2' })
  const { manifest, root } = await build(t, join(path, 'app.ts'))
  assert.deepEqual(manifest.config.entrypoint, ['node', 'app.ts'])
  assert.deepEqual(await readdir(join(root, 'app')), ['app.ts'])
})

test('a folder with a Procfile starts what it says', async (t) => {
  const path = await folder(t, {
    Procfile: 'worker: x\nweb: ./server --port 1\n',
    server: '#!/bin/sh\n',
  })
  assert.deepEqual((await build(t, path)).manifest.config.entrypoint, ['./server', '--port', '1'])
})

test('start scripts are run directly when they are plain, else by a shell', () => {
  assert.deepEqual(commandOf('node --import ./x.js index.js'), [
    'node',
    '--import',
    './x.js',
    'index.js',
  ])
  assert.deepEqual(commandOf('tsc && node x.js'), ['/bin/sh', '-c', 'tsc && node x.js'])
  assert.deepEqual(commandOf('A=1 node x.js'), ['/bin/sh', '-c', 'A=1 node x.js'])
  assert.deepEqual(commandOf('node "a b.js"'), ['/bin/sh', '-c', 'node "a b.js"'])
})

const refused: Readonly<Record<string, readonly [Readonly<Record<string, string>>, RegExp]>> = {
  'nothing to start': [
    { 'readme.txt': '' },
    /found nothing to start in it \(readme\.txt\); expected a Dockerfile, a package\.json/,
  ],
  'missing dependencies': [
    { 'package.json': '{"dependencies":{"express":"4"}}', 'index.js': '' },
    /express is named in package\.json but not installed; run "npm install"/,
  ],
  'missing main': [{ 'package.json': '{"main":"x.js"}' }, /"main": "x\.js", which is not there/],
  'bad package.json': [{ 'package.json': '{' }, /package\.json: expected a JSON object/],
  'a Procfile without web': [{ Procfile: 'job: x' }, /expected a line "web: COMMAND"/],
}
for (const [what, [files, message]] of Object.entries(refused)) {
  test(`refused: ${what}`, async (t) => {
    const path = await folder(t, files)
    await assert.rejects(build(t, path), { name: 'BuildError', message })
  })
}

test('refused: a link that leaves the project, and a path that is not there', async (t) => {
  const path = await folder(t, { 'index.js': '' })
  await symlink('/etc/passwd', join(path, 'secrets'))
  await assert.rejects(build(t, path), { name: 'BuildError', message: /outside of/ })
  await assert.rejects(build(t, '/nowhere/at/all'), {
    name: 'BuildError',
    message: /does not exist/,
  })
})
