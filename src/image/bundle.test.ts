import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { SimClock } from '../testing/sim-clock.ts'
import { buildImage } from './build.ts'
import { compiledFolder } from './compile-cache.ts'
import { openContentStore } from './content-store.ts'
import { readManifest } from './manifest.ts'
import { unpackImage } from './unpack.ts'

async function folder(t: TestContext, files: Readonly<Record<string, string>>): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'ebb-bundle-test-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) {
    await mkdir(join(path, name, '..'), { recursive: true })
    await writeFile(join(path, name), text)
  }
  return path
}

/** Builds with and without a bundle and runs both images' commands. */
async function build(
  t: TestContext,
  files: Readonly<Record<string, string>>,
  bundle: boolean | 'as package.json says' = true,
) {
  const path = await folder(t, files)
  const store = await openContentStore(await folder(t, {}))
  const options = { path, reference: 'x', store, clock: new SimClock(), ahead: true }
  const { digest, notes } = await buildImage({
    ...options,
    ...(typeof bundle === 'boolean' && { bundle }),
  })
  const manifest = await readManifest(store, digest)
  const rootfs = await unpackImage(store, digest, manifest.layers)
  const run = () => {
    const [, ...args] = manifest.config.entrypoint
    return spawnSync(process.execPath, args, {
      cwd: join(rootfs, 'app'),
      encoding: 'utf8',
      env: { NODE_COMPILE_CACHE: compiledFolder(rootfs) },
    })
  }
  return { digest, notes, rootfs, cmd: manifest.config.entrypoint, run }
}

const packages = {
  'node_modules/old/package.json': '{"name":"old","main":"lib/index.js"}',
  'node_modules/old/lib/index.js': `'use strict'
const fs = require('fs')
exports.asset = fs.readFileSync(__dirname + '/asset.txt', 'utf8')
exports.strict = (function () { return this === undefined })()
exports.load = (name) => require('./' + name)
exports.resolved = require.resolve('./plugin')
exports.main = require.main === module
exports.state = require('./state')`,
  'node_modules/old/lib/state.js': 'exports.count = 0',
  'node_modules/old/lib/plugin.js': 'exports.plugged = __filename',
  'node_modules/old/lib/asset.txt': 'asset',
  'node_modules/new/package.json':
    '{"name":"new","type":"module","exports":{"require":"./no.js","import":"./index.js","module":"./no.js"}}',
  'node_modules/new/index.js':
    'import { readFileSync } from "node:fs"; export const own = readFileSync(new URL("./own.json", import.meta.url), "utf8"); export const main = import.meta.main; export class Named {}',
  'node_modules/new/own.json': '{"a":1}',
}

test('a bundle of ES modules finds everything where it was', async (t) => {
  const { run, cmd, notes, digest } = await build(t, {
    ...packages,
    'package.json': '{"type":"module","scripts":{"start":"node src/server.ts --flag"}}',
    'src/server.ts': `import old from 'old'
import { own, main, Named } from 'new'
import json from './data.json' with { type: 'json' }
const loaded = async (_: string, name: string) => (await import('./' + name + '.ts')).url
const typed: number = await Promise.resolve(1)
console.log(JSON.stringify([typed, own, main, Named.name, old.asset, old.strict, old.main, old.load('plugin').plugged === old.resolved, await loaded('data.json', 'own') === import.meta.url,
  old.resolved.endsWith('/app/node_modules/old/lib/plugin.js'), json, import.meta.main, import.meta.dirname.endsWith('/app/src'),
  import.meta.url.endsWith('/src/server.ts'), process.argv.slice(2)]))`,
    'src/own.ts': 'export const url: string = import.meta.url.replace("own", "server")',
    'src/data.json': '{"json":true}',
  })
  assert.deepEqual(cmd, ['node', 'src/server.bundle.mjs', '--flag'])
  const { stdout, stderr } = run()
  assert.equal(stderr, '')
  assert.deepEqual(JSON.parse(stdout), [
    1,
    '{"a":1}',
    false,
    'Named',
    'asset',
    true,
    false,
    true,
    true,
    true,
    { json: true },
    true,
    true,
    true,
    ['--flag'],
  ])
  assert.match(
    notes.join('\n'),
    /^5 files are one now\nsrc\/server\.ts: what is loaded there by a computed name.*\nwhat old may load by a computed name/,
  )
  assert.match(digest, /^sha256:/)
})

test('a bundle of CommonJS modules knows that it is the main module', async (t) => {
  const { run } = await build(t, {
    ...packages,
    'package.json': '{"main":"index.js"}',
    'index.js': `#!/usr/bin/env node
'use strict'
const old = require('old')
class Thing {}
if (require.main === module) console.log(JSON.stringify([old.asset, Thing.name, __filename.endsWith('/app/index.js'), typeof module.exports, old.state === require('old/lib/state')]))`,
  })
  const { stdout, stderr } = run()
  assert.deepEqual([stderr, JSON.parse(stdout)], ['', ['asset', 'Thing', true, 'object', true]])
})

test('stack traces of a bundle name the files of the project', async (t) => {
  const { run, rootfs } = await build(t, {
    'package.json': '{"type":"module"}',
    'index.ts': `import { fail } from './lib/fail.ts'\n\n\nfail('x')`,
    'lib/fail.ts': `export const fail = (why: string): never => {\n  throw new RangeError(why)\n}\n`,
  })
  const { stderr, status } = run()
  assert.equal(status, 1)
  const app = join(rootfs, 'app')
  assert.match(stderr, /RangeError: x/)
  assert.ok(stderr.includes(`${join(app, 'lib/fail.ts')}:2:9`), stderr)
  assert.ok(stderr.includes(`${join(app, 'index.ts')}:4:1`), stderr)
})

test('what can not be bundled is taken as it is, and says why', async (t) => {
  const broken = await build(t, { 'index.js': 'require("./not-there")' })
  assert.deepEqual(broken.cmd, ['node', 'index.js'])
  assert.match(
    broken.notes.join(),
    /^not bundled: index\.js can't be bundled: index\.js:1: Could not resolve "\.\/not-there"/,
  )
  const shell = await build(t, { Procfile: 'web: ./run', run: '#!/bin/sh' })
  assert.match(shell.notes.join(), /the command is "\.\/run"; expected node and a file/)
  const plain = await build(t, { 'index.js': '' }, false)
  assert.deepEqual([plain.notes, plain.cmd], [[], ['node', 'index.js']])
})

test('a package that is not there is missed when it is asked for, not before', async (t) => {
  const { run, notes } = await build(t, {
    'index.js': `const optional = (load) => { try { return load() } catch (error) { return error.code } }
console.log(optional(() => require('not-installed')), optional(() => require('node:path').sep))`,
  })
  assert.equal(run().stdout, 'MODULE_NOT_FOUND /\n')
  assert.deepEqual(notes, ['1 file is one now'])
})

test('package.json may ask for a bundle', async (t) => {
  const files = { 'index.js': '', 'package.json': '{"ebb":{"bundle":true}}' }
  const cmd = async (bundle: false | 'as package.json says') =>
    (await build(t, files, bundle)).cmd[1]
  assert.equal(await cmd('as package.json says'), 'index.bundle.mjs')
  assert.equal(await cmd(false), 'index.js')
  await assert.rejects(build(t, { 'index.js': '', 'package.json': '{"ebb":{"bundle":"yes"}}' }), {
    name: 'BuildError',
    message: /expected "ebb": \{ "bundle": true \} or false, found \{"bundle":"yes"\}/,
  })
})

test('the same input makes the same bundle', async (t) => {
  const files = { ...packages, 'index.mjs': 'import "old"; import "new"' }
  assert.equal((await build(t, files)).digest, (await build(t, files)).digest)
})

test('building compiles the program and does not run it', async (t) => {
  const { rootfs, run } = await build(
    t,
    {
      'package.json': '{"type":"module"}',
      'index.ts': `import { writeFileSync } from 'node:fs'
import { where } from './other.ts'
writeFileSync('ran', '')
console.log(where(new Error('e').stack))`,
      'other.ts': 'export const where = (text: string | undefined) => text?.split("\\n")[1]',
    },
    false,
  )
  assert.ok(!existsSync(join(rootfs, 'app', 'ran')), 'nothing was run')
  const [versions = ''] = readdirSync(compiledFolder(rootfs))
  const entries = readdirSync(join(compiledFolder(rootfs), versions))
  assert.equal(entries.length, 6, 'two files, without types and compiled, and the two that compile')
  const { stdout, stderr } = run()
  assert.equal(stdout.trim(), `at file://${join(rootfs, 'app', 'index.ts')}:4:19`)
  assert.equal(stderr, '')
  assert.ok(existsSync(join(rootfs, 'app', 'ran')))
  const text = await readFile(join(compiledFolder(rootfs), versions, entries[0] ?? ''), 'latin1')
  assert.ok(text.length > 0)
})
