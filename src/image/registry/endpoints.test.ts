import assert from 'node:assert/strict'
import { test } from 'node:test'
import { endpointsOf } from './endpoints.ts'
import { parseReference } from '../reference.ts'
import { noRegistries, parseRegistries } from '../../lib/registries.ts'

const asked = (image: string, config: object, more: object = {}) =>
  endpointsOf(parseReference(image), { ...noRegistries, ...parseRegistries(config), ...more }).map(
    ({ origins, repository }) => `${origins.join('|')} ${repository}`,
  )

test('without configuration: the hub by its other name, loopback perhaps in plain, local names nowhere', () => {
  assert.deepEqual(asked('nginx', {}), ['https://registry-1.docker.io library/nginx'])
  assert.deepEqual(asked('quay.io/a/b', {}), ['https://quay.io a/b'])
  assert.deepEqual(asked('localhost:5000/a', {}), [
    'https://localhost:5000|http://localhost:5000 a',
  ])
  assert.deepEqual(asked('dev.local/a', {}), [])
  assert.deepEqual(asked('nginx', {}, { offline: true }), [])
})

test('mirrors, their rewrites, the star and no way back', () => {
  const config = {
    mirrors: {
      'docker.io': { endpoint: ['https://a.test', 'http://b.test:5000/v2/'] },
      'registry.test': {
        endpoint: ['mirror.test'],
        rewrite: { '^team/(.*)$': 'x/$1', '^x/': 'never' },
        fallback: false,
      },
      '*': { endpoint: ['https://all.test'] },
    },
  }
  assert.deepEqual(asked('nginx', config), [
    'https://a.test library/nginx',
    'http://b.test:5000 library/nginx',
    'https://registry-1.docker.io library/nginx',
  ])
  assert.deepEqual(asked('registry.test/team/app', config), ['https://mirror.test x/app'])
  assert.deepEqual(asked('quay.io/a', config), ['https://all.test a', 'https://quay.io a'])
  assert.deepEqual(
    asked('all.test/a', config),
    ['https://all.test a'],
    'what is its own mirror is asked once',
  )
})

test('who is trusted, per registry', () => {
  const config = parseRegistries(
    {
      configs: {
        'https://registry.test:5000': {
          tls: { ca: 'own.crt' },
          auth: { username: 'u', password: 5 },
        },
        'open.test': { tls: { insecure_skip_verify: true } },
      },
    },
    (name) => (name === 'own.crt' ? 'PEM' : undefined),
  )
  const access = (image: string) =>
    endpointsOf(parseReference(image), { ...noRegistries, ...config })[0]?.access
  assert.deepEqual(access('registry.test:5000/a'), {
    auth: { username: 'u', password: '5' },
    tls: { ca: 'PEM', insecureSkipVerify: false },
  })
  assert.equal(access('open.test/a')?.tls.insecureSkipVerify, true)
  assert.equal(access('other.test/a')?.tls.insecureSkipVerify, false)
  assert.equal(access('localhost:5000/a')?.tls.insecureSkipVerify, true)
})

for (const [config, refused] of [
  [[], /registries: expected a map, found \[\]/],
  [{ mirror: {} }, /registries: unknown key "mirror"; there are: mirrors, configs/],
  [{ mirrors: { 'a b': {} } }, /mirrors: expected the host of a registry.*found "a b"/],
  [{ mirrors: { a: { endpoints: [] } } }, /mirrors\.a: unknown key "endpoints"/],
  [{ mirrors: { a: { endpoint: 'x' } } }, /mirrors\.a\.endpoint: expected a list of URLs/],
  [{ mirrors: { a: { endpoint: ['https://u:p@x'] } } }, /endpoint\[0\]: expected a URL/],
  [{ mirrors: { a: { endpoint: ['https://x/prefix'] } } }, /without a path \(use rewrite/],
  [{ mirrors: { a: { rewrite: { '(': 'x' } } } }, /"\(" is no regular expression/],
  [{ mirrors: { a: { fallback: 'maybe' } } }, /fallback: expected true or false, found "maybe"/],
  [{ configs: { a: { tls: { ca: 'none' } } } }, /there is no key "none" with a PEM certificate/],
] as const)
  test(`refused: ${JSON.stringify(config)}`, () => {
    assert.throws(() => parseRegistries(config), refused)
  })
