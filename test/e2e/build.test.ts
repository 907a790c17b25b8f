/** Anything built and served on one platform: Python, Go, a static folder, a Dockerfile; and pushed, with what speaks about it. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { tarOf } from '../../src/testing/registry.ts'
import { staticBusybox } from './dockerd.ts'
import { installed } from './installed.ts'
import { run, startEbb, type Ebb } from './platform.ts'
import { skopeo, startDockerRegistry, withoutRegistry } from './registry.ts'

const succeeds = (program: string, ...args: readonly string[]): boolean =>
  spawnSync(program, args, { stdio: 'ignore' }).status === 0

const withoutPython =
  !succeeds('python3', '-m', 'pip', '--version') && 'python3 with pip is not on this machine'
const withoutGo = !succeeds('go', 'version') && 'go is not on this machine'
/** Containers of an own root need what only root has in most places where tests run. */
const withoutRoot = process.getuid?.() !== 0 && 'images with a root of their own take root here'
const withoutBuildah =
  withoutRoot ||
  (!installed('buildah', 'buildah') && 'buildah is not here and can not be installed')

let ebb: Ebb
const stack = new AsyncDisposableStack()

before(async () => {
  // Where tests run, builds can mount nothing.
  process.env['BUILDAH_ISOLATION'] ??= 'chroot'
  process.env['STORAGE_DRIVER'] ??= 'vfs'
  ebb = stack.use(await startEbb())
})
after(() => stack.disposeAsync())

async function project(name: string, files: Readonly<Record<string, string | Buffer>>) {
  const folder = join(ebb.dataDir, 'projects', name)
  for (const [file, content] of Object.entries(files)) {
    await mkdir(join(folder, file, '..'), { recursive: true })
    await writeFile(join(folder, file), content, { mode: 0o755 })
  }
  return folder
}

/** Builds and deploys; answers what it says at `path`. */
async function served(name: string, folder: string, path = '/', ...flags: readonly string[]) {
  const ran = await ebb.ebb('deploy', folder, '--name', name, ...flags)
  assert.equal(ran.code, 0, ran.stderr + ebb.output)
  return await ebb.get(`${name}.default.localhost`, path)
}

test(
  'a Python project is served, by the packages it asks for',
  { skip: withoutPython },
  async () => {
    const folder = await project('py', {
      'pyproject.toml': '[project]\nname = "py"\nversion = "1"\ndependencies = []\n',
      'lib/words.py': 'word = "python"\n',
      'app.py': `import os
from http.server import BaseHTTPRequestHandler, HTTPServer
from lib.words import word
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"hello from {word}".encode())
HTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()
`,
    })
    assert.equal((await served('py', folder)).body, 'hello from python')
  },
)

test(
  'a Go module is served from a root of its own',
  { skip: withoutGo || withoutRoot },
  async () => {
    // Kept between runs: compiling Go's own library is what takes the time.
    process.env['GOCACHE'] = join(tmpdir(), 'ebb-test-go')
    const folder = await project('go', {
      'go.mod': 'module example.com/go-app\n\ngo 1.20\n',
      'words.txt': 'hello from go',
      // No net: compiling less is quicker.
      'main.go': `package main

import (
	"os"
	"strconv"
	"syscall"
)

func main() {
	body, _ := os.ReadFile("words.txt")
	port, _ := strconv.Atoi(os.Getenv("PORT"))
	listener, _ := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	syscall.SetsockoptInt(listener, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if syscall.Bind(listener, &syscall.SockaddrInet4{Port: port}) != nil || syscall.Listen(listener, 16) != nil {
		os.Exit(1)
	}
	for {
		connection, _, err := syscall.Accept(listener)
		if err != nil {
			continue
		}
		go func() {
			syscall.Read(connection, make([]byte, 4096))
			syscall.Write(connection, append([]byte("HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: 13\\r\\n\\r\\n"), body...))
			syscall.Close(connection)
		}()
	}
}
`,
    })
    assert.equal((await served('go', folder)).body, 'hello from go')
  },
)

test('a static folder is served, with types and validators', async () => {
  const folder = await project('site', { 'dist/index.html': '<p>hi', 'dist/a/b.css': 'p{}' })
  const { body, headers } = await served('site', folder, '/a/b.css')
  assert.deepEqual([body, headers['content-type']], ['p{}', 'text/css; charset=utf-8'])
  const host = 'site.default.localhost'
  const again = await ebb.get(host, '/a/b.css', {
    headers: { 'if-none-match': String(headers['etag']) },
  })
  assert.equal(again.status, 304)
  // A change of the program ships the program alone.
  await writeFile(join(folder, 'dist', 'index.html'), '<p>changed')
  assert.equal((await served('site', folder)).body, '<p>changed')
})

test(
  'a Dockerfile is built by whoever is there, and served',
  { skip: withoutBuildah },
  async (t) => {
    const busybox = await staticBusybox()
    if (!busybox) return t.skip('busybox-static can not be installed here')
    const folder = await project('web', {
      busybox,
      'secret.key': 'left out',
      '.dockerignore': '*.key\n',
      Dockerfile: `FROM scratch AS tools
COPY busybox /bin/busybox
COPY busybox /bin/sh
FROM tools AS page
ARG WORD=nothing
COPY . /context
RUN /bin/busybox mkdir /www && /bin/busybox echo "hello from $WORD" > /www/index.html
RUN /bin/busybox test ! -e /context/secret.key
FROM tools
COPY --from=page /www /www
CMD /bin/busybox httpd -f -p $PORT -h /www
`,
    })
    const answer = await served('web', folder, '/', '--build-arg', 'WORD=a Dockerfile')
    assert.equal(answer.body, 'hello from a Dockerfile\n')
    await writeFile(join(folder, 'Dockerfile'), 'FROM scratch\nCOPY missing /\n')
    const failed = await ebb.ebb('build', folder)
    assert.equal(failed.code, 1)
    assert.match(failed.stderr, /missing[\s\S]*ebb build: .*Dockerfile could not be built/)
  },
)

test('on a base image, its own node starts the program', { skip: withoutRoot }, async () => {
  const imported = await ebb.ebb('image', 'import', await nodeImage(), '--tag', 'node-base')
  assert.equal(imported.code, 0, imported.stderr)
  const folder = await project('based', {
    'index.js': `import { createServer } from 'node:http'
const text = [process.execPath, process.cwd()].join(' ')
createServer((request, response) => response.end(text)).listen(process.env.PORT)
`,
    'package.json': '{"type":"module"}',
  })
  const { body } = await served('based', folder, '/', '--base', 'node-base')
  assert.equal(body, '/opt/bin/node /app')
})

/** The machine's node with the libraries it needs, as `docker save` would write it. */
async function nodeImage(): Promise<string> {
  const { stdout } = await run('ldd', [process.execPath])
  const libraries = [...stdout.matchAll(/(\/\S+) \(0x/g)].map(([, path = '']) => path)
  const paths = [
    ['opt/bin/node', process.execPath],
    ...libraries.map((path) => [path.slice(1), path]),
  ]
  const files = paths.map(async ([name = '', path = '']) => ({
    name,
    mode: 0o755,
    text: await readFile(path),
  }))
  const layer = await tarOf(await Promise.all(files))
  const config = {
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: { Env: ['PATH=/opt/bin'] },
    rootfs: {
      type: 'layers',
      diff_ids: [`sha256:${createHash('sha256').update(layer).digest('hex')}`],
    },
  }
  const path = join(ebb.dataDir, 'node-base.tar')
  const parts = [
    { name: 'layer.tar', text: layer },
    { name: 'config.json', text: JSON.stringify(config) },
    { name: 'manifest.json', text: '[{"Config":"config.json","Layers":["layer.tar"]}]' },
  ]
  await writeFile(path, await tarOf(parts))
  return path
}

test(
  '--push brings image, SBOM and provenance into a registry',
  { skip: withoutRegistry },
  async () => {
    await using registry = await startDockerRegistry()
    const folder = await project('pushed', {
      'package.json': '{"main":"a.js","dependencies":{"left":"1"}}',
      'node_modules/left/package.json': '{"name":"left","version":"1.2.3","license":"MIT"}',
      'a.js': '',
    })
    const name = `${registry.host}/team/app:v1`
    const ran = await ebb.ebb('build', folder, '--push', name)
    assert.equal(ran.code, 0, ran.stderr)
    const [, digest = ''] =
      /^127\.0\.0\.1:\d+\/team\/app@(sha256:[a-f0-9]{64})\n$/.exec(ran.stdout) ?? []
    const inspect = async (reference: string) =>
      JSON.parse(
        await skopeo(
          'inspect',
          '--raw',
          '--tls-verify=false',
          `docker://${registry.host}/team/${reference}`,
        ),
      ) as { readonly layers: unknown[]; readonly manifests: { readonly digest: string }[] }
    assert.equal((await inspect('app:v1')).layers.length, 2)
    // This registry knows nothing of referrers; they are listed under a tag.
    const list = await inspect(`app:${digest.replace(':', '-')}`)
    assert.equal(list.manifests.length, 2)
    for (const item of list.manifests) await inspect(`app@${item.digest}`)
    // The whole image is there, for anybody.
    const copied = await run('skopeo', [
      '--insecure-policy',
      'copy',
      '--src-tls-verify=false',
      `docker://${name}`,
      `dir:${join(ebb.dataDir, 'copied')}`,
    ])
    assert.equal(copied.code, 0, copied.stderr)
    await rm(join(ebb.dataDir, 'copied'), { recursive: true })
    // Only the program is sent after a change of it.
    await writeFile(join(folder, 'a.js'), 'changed')
    const again = await ebb.ebb('build', folder, '-t', name, '--push')
    assert.match(again.stderr, /Pushed \d+ blob\(s\) \(\d{3,4} bytes\), 0 mounted, 3 there before/)
  },
)
