import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findHeadEnd, parseRequestHead } from '../../../lib/http1/head.ts'
import type { Redirect } from './destination.ts'
import { rewriter } from './path-rewrite.ts'
import { redirectAnswer, toHttps } from './redirect.ts'

test("the Gateway API's table of replaced prefixes", () => {
  const table: readonly [string, string, string, string][] = [
    ['/foo/bar', '/foo', '/xyz', '/xyz/bar'],
    ['/foo/bar', '/foo', '/xyz/', '/xyz/bar'],
    ['/foo/bar', '/foo/', '/xyz', '/xyz/bar'],
    ['/foo/bar', '/foo/', '/xyz/', '/xyz/bar'],
    ['/foo', '/foo', '/xyz', '/xyz'],
    ['/foo/', '/foo', '/xyz', '/xyz/'],
    ['/foo/bar', '/foo', '', '/bar'],
    ['/foo/', '/foo', '', '/'],
    ['/foo', '/foo', '', '/'],
    ['/foo/', '/foo', '/', '/'],
    ['/foo', '/foo', '/', '/'],
    ['/bar?a=/foo', '/', '/xyz', '/xyz/bar?a=/foo'],
    ['/foo?a', '/foo', '/', '/?a'],
  ]
  for (const [target, path, value, expected] of table)
    assert.equal(
      rewriter({ path, type: 'prefix' }, { type: 'prefix', value })(target),
      expected,
      `${target} ${path} ${value}`,
    )
})

test('full paths, exact matches, literal prefixes; the query stays and nothing ends the line', () => {
  const full = rewriter({ path: '/a', type: 'prefix' }, { type: 'full', value: '/x y\r\nZ: ü' })
  assert.equal(full('/a/b?c'), '/x%20y%0D%0AZ:%20%C3%BC?c')
  assert.equal(
    rewriter({ path: '/a', type: 'exact' }, { type: 'prefix', value: 'b' })('/a?c'),
    '/b?c',
  )
  const literal = (path: string, value: string, target: string): string =>
    rewriter({ path, type: 'literal' }, { type: 'prefix', value })(target)
  assert.equal(literal('/api/', '/', '/api/v1?x'), '/v1?x')
  assert.equal(literal('/api', '/', '/api/v1'), '//v1')
  assert.equal(literal('/api', '', '/api'), '/')
  assert.equal(literal('/v1', '/v2', '/v1beta'), '/v2beta')
})

const head = (host: string, target = '/p?q=1') => {
  const bytes = Buffer.from(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
  return parseRequestHead(bytes, 0, findHeadEnd(bytes, 0), 50)
}
const location = (redirect: Partial<Redirect>, host: string, scheme: 'http' | 'https' = 'http') => {
  const whole = {
    scheme: undefined,
    host: undefined,
    port: undefined,
    rewrite: undefined,
    status: 302,
  }
  const { lines = '' } = redirectAnswer({ ...whole, ...redirect }, head(host), scheme)
  return /^Location: (.*)\r\n$/.exec(lines)?.[1]
}

test("the Gateway API's redirects: what is absent stays, ports of the scheme are not written", () => {
  assert.equal(location({}, 'a.b:8080'), 'http://a.b:8080/p?q=1')
  assert.equal(location({}, 'a.b'), 'http://a.b/p?q=1')
  assert.equal(location({}, 'a.b', 'https'), 'https://a.b/p?q=1')
  assert.equal(location({ scheme: 'https' }, 'a.b:8080'), 'https://a.b/p?q=1')
  assert.equal(location({ scheme: 'https', port: 8443 }, 'a.b'), 'https://a.b:8443/p?q=1')
  assert.equal(location({ scheme: 'http', port: 80 }, 'a.b:8080'), 'http://a.b/p?q=1')
  assert.equal(location({ port: 443 }, 'a.b', 'https'), 'https://a.b/p?q=1')
  assert.equal(location({ port: 443 }, 'a.b'), 'http://a.b:443/p?q=1')
  assert.equal(location({ host: 'c.d' }, 'a.b:81'), 'http://c.d:81/p?q=1')
  assert.equal(location({}, '[::1]:8080'), 'http://[::1]:8080/p?q=1')
  assert.equal(location({}, '[::1]'), 'http://[::1]/p?q=1')
  const rewrite = rewriter({ path: '/p', type: 'prefix' }, { type: 'prefix', value: '/z' })
  assert.equal(location({ rewrite }, 'a.b'), 'http://a.b/z?q=1')
})

test('to https: same host and path, our port only for who asked for our port', () => {
  const lines = (http: number, https: number, host: string, target?: string): string | undefined =>
    toHttps(head(host, target), { http, https }).lines
  assert.equal(lines(8080, 443, 'a.b:8080'), 'Location: https://a.b/p?q=1\r\n')
  assert.equal(lines(8080, 8443, 'a.b:8080'), 'Location: https://a.b:8443/p?q=1\r\n')
  assert.equal(lines(8080, 8443, 'a.b'), 'Location: https://a.b/p?q=1\r\n')
  assert.equal(lines(80, 8443, '[::1]:80', '/'), 'Location: https://[::1]:8443/\r\n')
  assert.equal(toHttps(head('a'), { http: 80, https: 443 }).status, 301)
})
