/**
 * The published package as a program's author gets it: compiled, with its types, under its own name, beside nothing but
 * what it depends on. The examples type-check against it and run unmodified against a platform (the book's 16).
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { run, startEbb, until, withoutKubectl, type Ebb } from './platform.ts'

const root = join(import.meta.dirname, '..', '..')
const tsc = join(root, 'node_modules', '.bin', 'tsc')

let ebb: Ebb
let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ebb-sdk-'))
  const installed = join(folder, 'node_modules', 'ebb')
  await mkdir(installed, { recursive: true })
  const compiled = run(
    tsc,
    ['-p', join(root, 'tsconfig.build.json'), '--outDir', join(installed, 'dist')],
    {
      timeoutMs: 180_000,
    },
  )
  ebb = await startEbb()
  await ebb.build('helloworld-nodejs', 'dev.local/hello')
  const { code, stdout } = await compiled
  assert.equal(code, 0, stdout)
  await cp(join(root, 'package.json'), join(installed, 'package.json'))
  await cp(join(root, 'examples', 'controller'), folder, { recursive: true })
  const { dependencies } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>
  }
  for (const name of [...Object.keys(dependencies), '@types/node', 'undici-types']) {
    const place = join(folder, 'node_modules', name)
    await mkdir(dirname(place), { recursive: true })
    await symlink(join(root, 'node_modules', name), place)
  }
})
after(async () => {
  await ebb?.[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

test('the examples type-check against the published types', async () => {
  const options = ['--noEmit', '--strict', '--skipLibCheck', '--ignoreConfig', '--target', 'es2024']
  const libraries = ['--lib', 'es2024,esnext.disposable', '--module', 'nodenext', '--types', 'node']
  const files = ['controller.ts', 'create.ts'].map((file) => join(folder, file))
  const { code, stdout } = await run(tsc, [...options, ...libraries, ...files], {
    timeoutMs: 120_000,
  })
  assert.equal(code, 0, stdout)
})

test('a controller of 70 lines follows Services', { skip: withoutKubectl }, async () => {
  const env = { ...process.env, KUBECONFIG: ebb.kubeconfig }
  const controller = spawn(process.execPath, [join(folder, 'controller.ts')], { env })
  let output = ''
  controller.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  controller.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const ended = new Promise<number | null>((resolve) => controller.once('exit', resolve))
  try {
    await until('the controller has begun', () => {
      if (controller.exitCode !== null) throw new Error(output)
      return output.includes('working on https://')
    })
    const created = await run(process.execPath, [join(folder, 'create.ts')], { env })
    assert.equal(created.code, 0, created.stderr)
    const name = /^create ksvc success!! (manager-create-ksvc-\w{5})$/m.exec(created.stdout)?.[1]
    assert.ok(name, created.stdout)
    assert.match(created.stdout, new RegExp(`${name} is ready at http://${name}\\.default\\.`))
    assert.equal(
      (await ebb.get(`${name}.default.localhost`)).body,
      'Hello serving sdk demo, manager <.|.>!',
    )
    await until('the controller has told of its parts', () =>
      [
        `service: default/${name} route: default/${name}`,
        `service: default/${name} revisions: 1`,
        `service: default/${name} revision: default/${name}-00001`,
      ].every((text) => output.includes(text)),
    )
    await until('the annotation is there', async () =>
      (await ebb.ok('get', 'ksvc', name, '-o', 'jsonpath={.metadata.annotations}')).includes(
        '"example.com/revisions":"1"',
      ),
    )
    await ebb.ok('delete', 'ksvc', name)
    await until('the controller has seen it go', () => output.includes('no longer exists'))
    controller.kill('SIGINT')
    assert.equal(await ended, 0, output)
  } finally {
    controller.kill('SIGKILL')
  }
})
