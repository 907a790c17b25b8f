import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { SimClock } from '../../testing/sim-clock.ts'
import { buildImage, type BuildOptions } from '../build.ts'
import { openContentStore } from '../content-store.ts'
import { hostRuntimeOf, readManifest } from '../manifest.ts'
import { unpackImage } from '../unpack.ts'

const clock = new SimClock()

const has = (program: string, ...args: readonly string[]): boolean =>
  spawnSync(program, args, { stdio: 'ignore' }).status === 0
const withoutPip = !has('python3', '-m', 'pip', '--version') && 'python3 with pip is not here'
const withoutGo = !has('go', 'version') && 'go is not here'

type Files = Readonly<Record<string, string | Uint8Array>>

async function folder(t: TestContext, files: Files = {}): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'ebb-toolchain-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  for (const [name, content] of Object.entries(files)) {
    await mkdir(join(path, name, '..'), { recursive: true })
    await writeFile(join(path, name), content)
  }
  return path
}

async function build(t: TestContext, path: string, options: Partial<BuildOptions> = {}) {
  const store = options.store ?? (await openContentStore(await folder(t)))
  const built = await buildImage({ path, reference: 'x', store, clock, ...options })
  const manifest = await readManifest(store, built.digest)
  const root = await unpackImage(store, built.digest, manifest.layers)
  return { ...built, store, manifest, root }
}

/** Everything below a folder, sorted. */
const tree = async (path: string) =>
  (await readdir(path, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(path.length + 1))
    .sort()

/** A wheel with a module and a program, as a package index would have it. */
async function wheel(t: TestContext): Promise<Uint8Array> {
  const path = await folder(t, {
    'greeting/__init__.py': 'def main():\n    print("hello from a package")\n',
    'greeting-1.2.dist-info/METADATA':
      'Metadata-Version: 2.1\nName: Greeting\nVersion: 1.2\nLicense: MIT\n\nText\nVersion: 9\n',
    'greeting-1.2.dist-info/WHEEL':
      'Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
    'greeting-1.2.dist-info/entry_points.txt': '[console_scripts]\ngreet = greeting:main\n',
    'greeting-1.2.dist-info/RECORD':
      'greeting/__init__.py,,\ngreeting-1.2.dist-info/METADATA,,\ngreeting-1.2.dist-info/WHEEL,,\n' +
      'greeting-1.2.dist-info/entry_points.txt,,\ngreeting-1.2.dist-info/RECORD,,\n',
  })
  execFileSync(
    'python3',
    ['-m', 'zipfile', '-c', 'out.whl', 'greeting', 'greeting-1.2.dist-info'],
    {
      cwd: path,
    },
  )
  return await readFile(join(path, 'out.whl'))
}

test(
  'a Python project: packages by pip in a layer of their own, the same in any folder at any time',
  {
    skip: withoutPip,
  },
  async (t) => {
    const files = {
      'requirements.txt': './vendor/greeting-1.2-py3-none-any.whl\n',
      'vendor/greeting-1.2-py3-none-any.whl': await wheel(t),
      'app.py': 'import greeting\ngreeting.main()\n',
      'lib/__pycache__/x.cpython-311.pyc': 'never packed',
      'venv/pyvenv.cfg': 'home = /usr/bin',
      'venv/bin/python': 'never packed',
    }
    const one = await build(t, await folder(t, files))
    assert.equal(one.kind, 'python')
    assert.equal(hostRuntimeOf(one.manifest.config), 'python')
    assert.match(one.manifest.config.labels['dev.ebb.python'] ?? '', /^3\.\d+$/)
    assert.deepEqual(one.manifest.config.entrypoint, ['python3', 'app.py'])
    assert.equal(one.manifest.layers.length, 2)
    const there = await tree(one.root)
    assert.deepEqual(
      there.filter((file) => !file.includes('.dist-info/')),
      [
        'app/.python_packages/bin/greet',
        'app/.python_packages/greeting/__init__.py',
        'app/app.py',
        'app/requirements.txt',
        'app/vendor/greeting-1.2-py3-none-any.whl',
      ],
    )
    const script = await readFile(join(one.root, 'app/.python_packages/bin/greet'), 'utf8')
    assert.match(script, /^#!\/usr\/bin\/env python3\n/)
    const env = Object.entries(one.manifest.config.env).map(([name, value]) => `${name}=${value}`)
    const ran = spawnSync('env', [...env, 'python3', '-B', 'app.py'], {
      cwd: join(one.root, 'app'),
      encoding: 'utf8',
    })
    assert.equal(ran.stdout, 'hello from a package\n', ran.stderr)

    const elsewhere = await folder(t, files)
    await utimes(join(elsewhere, 'app.py'), 1, 1)
    assert.equal((await build(t, elsewhere)).digest, one.digest)

    // Only the program is packed again; a program of a package is started by the interpreter.
    await writeFile(join(elsewhere, 'Procfile'), 'web: greet --loud')
    const other = await build(t, elsewhere, { store: one.store })
    assert.equal(other.manifest.layers[0]?.digest, one.manifest.layers[0]?.digest)
    assert.notEqual(other.manifest.layers[1]?.digest, one.manifest.layers[1]?.digest)
    assert.deepEqual(other.manifest.config.entrypoint, [
      'python3',
      '.python_packages/bin/greet',
      '--loud',
    ])
  },
)

test('pip that fails is heard; what is not pinned is said', { skip: withoutPip }, async (t) => {
  const bad = await folder(t, {
    'app.py': '',
    'requirements.txt': './nothing-1.0-py3-none-any.whl',
  })
  await assert.rejects(build(t, bad), {
    name: 'BuildError',
    message: /requirements\.txt asks for can't be installed: python3 ended[\s\S]*nothing-1\.0/,
  })
  const poetry = await folder(t, {
    'app.py': '',
    'pyproject.toml': '[tool.poetry.dependencies]\nflask = "*"\n',
  })
  await assert.rejects(build(t, poetry), { message: /Poetry alone; expected \[project\]/ })
})

const commands: Readonly<Record<string, readonly [Files, readonly string[]]>> = {
  'a plain program': [{ 'main.py': 'print(1)' }, ['python3', 'main.py']],
  'a Procfile': [{ 'x.py': '', Procfile: 'web: python x.py', 'setup.py': '' }, ['python3', 'x.py']],
  Django: [
    { 'manage.py': '', 'site/wsgi.py': '' },
    ['/bin/sh', '-c', 'exec python3 manage.py runserver --noreload 0.0.0.0:"${PORT:-8080}"'],
  ],
  'a program that serves itself': [
    { 'app.py': 'app = make()\nif __name__ == "__main__":\n  app.run()' },
    ['python3', 'app.py'],
  ],
}
for (const [what, [files, command]] of Object.entries(commands)) {
  test(`how Python is started: ${what}`, { skip: withoutPip }, async (t) => {
    const { manifest } = await build(t, await folder(t, files))
    assert.deepEqual(manifest.config.entrypoint, command)
  })
}

test(
  'a Go module: one static binary, the same bytes wherever it is built',
  {
    skip: withoutGo,
  },
  async (t) => {
    const files = {
      'go.mod': 'module example.com/hello\n\ngo 1.20\n',
      // No fmt: compiling less is quicker.
      'main.go':
        'package main\n\nimport "os"\n\nfunc main() { os.Stdout.WriteString("hello\\n") }\n',
      'templates/a.html': 'x',
    }
    // Kept between runs: compiling Go's own library is what takes the time.
    const kept = { goCache: join(tmpdir(), 'ebb-test-go') }
    const store = await openContentStore(await folder(t))
    const one = await build(t, await folder(t, files), { store, ...kept })
    const again = await build(t, await folder(t, files), { store, ...kept })
    assert.equal(again.digest, one.digest)
    assert.deepEqual(one.manifest.config.entrypoint, ['/app/hello'])
    assert.equal(hostRuntimeOf(one.manifest.config), undefined)
    assert.deepEqual(await tree(one.root), [
      'app/hello',
      'app/templates/a.html',
      'etc/group',
      'etc/passwd',
      'etc/ssl/certs/ca-certificates.crt',
    ])
    assert.equal(execFileSync(join(one.root, 'app/hello'), { encoding: 'utf8' }), 'hello\n')
    // Its path here is nowhere in it.
    const binary = await readFile(join(one.root, 'app/hello'), 'latin1')
    assert.ok(!binary.includes(tmpdir() + '/ebb-toolchain-'))
    const broken = await folder(t, {
      ...files,
      'main.go': 'package main\nfunc main() { nope() }\n',
    })
    await assert.rejects(build(t, broken, { store, ...kept }), {
      name: 'BuildError',
      message: /can't be built: go ended with exit code 1:[\s\S]*undefined: nope/,
    })
    const library = await folder(t, { 'go.mod': files['go.mod'], 'x.go': 'package x\n' })
    await assert.rejects(build(t, library, { store, ...kept }), {
      message: /found no package main/,
    })
  },
)

test('a static folder: the files, what may be served, and a server', async (t) => {
  const files = {
    'index.html': '<h1>hi</h1>',
    'docs/a.css': 'a{}',
    '.env': 'SECRET=1',
    '.well-known/x.txt': 'y',
  }
  const one = await build(t, await folder(t, files))
  assert.equal(one.kind, 'static')
  assert.deepEqual(one.manifest.config.entrypoint, ['node', 'server.mjs'])
  assert.deepEqual(await tree(one.root), [
    'app/server.mjs',
    'app/site.json',
    'app/site/.well-known/x.txt',
    'app/site/docs/a.css',
    'app/site/index.html',
    'app/static-server.mjs',
  ])
  const other = await build(t, await folder(t, { ...files, 'new.html': '' }), { store: one.store })
  assert.equal(other.manifest.layers[0]?.digest, one.manifest.layers[0]?.digest)
})

test('a change of the program leaves its dependencies unread', async (t) => {
  const path = await folder(t, {
    'package.json': '{"main":"a.js","dependencies":{"left":"1"}}',
    'node_modules/left/package.json': '{"name":"left","version":"1.0.0","license":"MIT"}',
    'node_modules/left/index.js': 'x',
    'node_modules/@a/b/package.json': '{"name":"@a/b","version":"2.0.0"}',
    'a.js': '1',
    // It speaks of installing inside a build.
    '.dockerignore': 'node_modules\n',
  })
  const store = await openContentStore(await folder(t))
  const packed: string[] = []
  const watched = {
    ...store,
    putStream: async (type: string, chunks: AsyncIterable<Uint8Array>) => {
      const blob = await store.putStream(type, chunks)
      packed.push(blob.digest)
      return blob
    },
  }
  const one = await build(t, path, { store: watched })
  assert.equal(packed.length, 2)
  await writeFile(join(path, 'a.js'), '2')
  const two = await build(t, path, { store: watched })
  assert.equal(packed.length, 3)
  assert.equal(two.manifest.layers[0]?.digest, one.manifest.layers[0]?.digest)
  await writeFile(join(path, 'node_modules/left/index.js'), 'y')
  const three = await build(t, path, { store: watched })
  assert.notEqual(three.manifest.layers[0]?.digest, one.manifest.layers[0]?.digest)
  // In another folder nothing is known of it, and it is the same.
  const copy = await folder(t)
  await cp(path, copy, { recursive: true })
  assert.equal((await build(t, copy)).digest, three.digest)
})

test('refused: a folder with nothing to start says what is there and what is expected', async (t) => {
  await assert.rejects(build(t, await folder(t)), {
    name: 'BuildError',
    message: /found nothing to start in an empty folder; expected a Dockerfile, a package\.json/,
  })
  await assert.rejects(build(t, await folder(t, { 'a.txt': '', 'b/c.md': '' })), {
    message: /found nothing to start in it \((a\.txt, b\/|b\/, a\.txt)\); expected/,
  })
})
