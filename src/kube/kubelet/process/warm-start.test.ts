import assert from 'node:assert/strict'
import { test } from 'node:test'
import { warmStart } from './warm-start.ts'

const node = '/usr/bin/node'
const start = (command: readonly string[], env: Readonly<Record<string, string>> = {}) =>
  warmStart(command, env, node)

test('a plain command line of the same Node becomes entry, arguments and flags', () => {
  assert.deepEqual(start([node, 'a.js']), { entry: 'a.js', args: [], execArgv: [] })
  assert.deepEqual(start([node, '--enable-source-maps', 'a.js', '--inspect', '-x']), {
    entry: 'a.js',
    args: ['--inspect', '-x'],
    execArgv: ['--enable-source-maps'],
  })
})

for (const command of [
  ['/bin/sh', '-c', 'node a.js'],
  ['/opt/node', 'a.js'],
  [node],
  [node, '-'],
  [node, '-e', '1'],
  [node, '--', 'a.js'],
  [node, '--inspect', 'a.js'],
  [node, '--max-old-space-size=64', 'a.js'],
  [node, '-r', './x.js', 'a.js'],
  [node, 'inspect', 'a.js'],
  [node, 'a\0.js'],
])
  test(`takes a process of its own: ${JSON.stringify(command.join(' '))}`, () =>
    assert.equal(start(command), undefined))

test('an environment that Node reads before it starts a program takes a process of its own', () => {
  for (const [name, value] of Object.entries({
    NODE_OPTIONS: '--no-warnings',
    NODE_EXTRA_CA_CERTS: '/ca.pem',
    NODE_PATH: '/lib',
    UV_THREADPOOL_SIZE: '8',
    LD_PRELOAD: '/x.so',
    SSL_CERT_FILE: '/ca.pem',
    LANG: 'de_DE.UTF-8',
    LC_ALL: 'tr_TR.UTF-8',
    NUL: 'a\0b',
  }))
    assert.equal(start([node, 'a.js'], { [name]: value }), undefined, name)
  for (const [name, value] of Object.entries({
    NODE_ENV: 'production',
    LANG: 'C.UTF-8',
    TZ: 'Asia/Tokyo',
    PORT: '8080',
    LDAP_URL: 'x',
  }))
    assert.ok(start([node, 'a.js'], { [name]: value }), name)
})
