import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type RequestListener } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../../../lib/clock.ts'
import { findEngine, parseEngineHost, usualAddresses } from './discovery.ts'

interface Place extends AsyncDisposable {
  readonly home: string
  /** An engine of that API version that listens at `path` below the home folder. */
  listen(path: string, apiVersion: string): Promise<void>
}

async function place(): Promise<Place> {
  const home = await mkdtemp(join(tmpdir(), 'ebb-home-'))
  const servers = new AsyncDisposableStack()
  return {
    home,
    async listen(path, apiVersion) {
      const answer: RequestListener = ({ url = '' }, response) => {
        response.setHeader('Api-Version', apiVersion)
        response.end(
          url.endsWith('/_ping')
            ? 'OK'
            : JSON.stringify({ Version: `of ${path} by ${url.split('/')[1]}` }),
        )
      }
      const server = createServer(answer)
      await mkdir(join(home, path, '..'), { recursive: true })
      await new Promise<void>((resolve) => server.listen(join(home, path), resolve))
      servers.defer(async () => {
        server.closeAllConnections()
        await new Promise((resolve) => server.close(resolve))
      })
    },
    async [Symbol.asyncDispose]() {
      await servers.disposeAsync()
      await rm(home, { recursive: true })
    },
  }
}

const versionAt = async (home: string, env: Record<string, string> = {}): Promise<string> => {
  using engine = await findEngine({ env, home, platform: 'linux', uid: undefined }, systemClock)
  return engine.facts.version
}

test('the first engine that answers is taken, by the newest version both know', async (t) => {
  await using at = await place()
  await at.listen('.colima/default/docker.sock', '1.43')
  const version = await versionAt(at.home).catch((error: Error) => error.message)
  if (!version.includes('colima')) return t.skip('this machine has an engine of its own')
  assert.equal(version, 'of .colima/default/docker.sock by v1.43')
})

test('what the environment names goes before a context, and that before the usual places', async () => {
  await using at = await place()
  await at.listen('named.sock', '1.41')
  await at.listen('context.sock', '1.99')
  const id = createHash('sha256').update('mine').digest('hex')
  const meta = join(at.home, '.docker', 'contexts', 'meta', id)
  await mkdir(meta, { recursive: true })
  await writeFile(join(at.home, '.docker', 'config.json'), '{"currentContext":"mine"}')
  const host = `unix://${join(at.home, 'context.sock')}`
  await writeFile(
    join(meta, 'meta.json'),
    JSON.stringify({ Endpoints: { docker: { Host: host } } }),
  )
  const named = { DOCKER_HOST: `unix://${join(at.home, 'named.sock')}` }
  assert.equal(await versionAt(at.home, named), 'of named.sock by v1.41')
  assert.equal(await versionAt(at.home), 'of context.sock by v1.47')
})

test('what can not be used is named with its reason', async () => {
  await using at = await place()
  await at.listen('old.sock', '1.40')
  const at_ = (path: string) => versionAt(at.home, { DOCKER_HOST: path })
  await assert.rejects(
    at_(`unix://${join(at.home, 'old.sock')}`),
    /speaks version 1\.40 .* expected 1\.41 \(Docker 20\.10\) or later/,
  )
  await assert.rejects(at_(`unix://${join(at.home, 'none.sock')}`), /there is no such socket/)
  await assert.rejects(at_('ssh://root@host'), /expected unix:\/\/\/PATH .* found "ssh:/)
  await assert.rejects(at_('tcp://10.0.0.1:2375'), /another machine's/)
  await assert.rejects(
    versionAt(at.home, { DOCKER_HOST: 'tcp://127.0.0.1:2376', DOCKER_TLS_VERIFY: '1' }),
    /behind TLS/,
  )
})

test('hosts in all spellings', () => {
  assert.deepEqual(parseEngineHost('unix:///run/d.sock'), { kind: 'socket', path: '/run/d.sock' })
  assert.deepEqual(parseEngineHost('npipe:////./pipe/docker_engine'), {
    kind: 'socket',
    path: '\\\\.\\pipe\\docker_engine',
  })
  assert.deepEqual(parseEngineHost('tcp://[::1]'), { kind: 'tcp', host: '::1', port: 2375 })
  const paths = usualAddresses({
    env: { XDG_RUNTIME_DIR: '/run/user/7' },
    home: '/h',
    platform: 'linux',
    uid: 7,
  }).map((address) => (address.kind === 'socket' ? address.path : ''))
  assert.equal(paths[0], '/var/run/docker.sock')
  assert.ok(paths.includes('/run/user/7/podman/podman.sock'))
})
