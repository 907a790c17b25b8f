import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { IstioHTTPRoute, VirtualService } from '../api/virtual-service-spec.ts'
import { problem } from './backend.ts'
import { virtualServiceEntries } from './virtual-service-rules.ts'

const paths = (...http: IstioHTTPRoute[]) => {
  const service: VirtualService = {
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { namespace: 'default', name: 'vs' },
    spec: { hosts: ['a.example'], http },
  }
  return virtualServiceEntries(service, {
    destination: ({ host, port }, authority) =>
      host === 'gateway' && authority
        ? { target: { host: authority } }
        : host === 'missing'
          ? problem('BackendNotFound', 'gone')
          : { target: { service: `default/${host}:${port?.number ?? 80}` } },
  }).entries.map(({ path }) => path)
}
const route = [{ destination: { host: 'app' } }]
const splits = [{ service: 'default/app:80', percent: 100 }]

test('authority to the gateway: the routes of that host, and the program sees it', () => {
  assert.deepEqual(
    paths({
      match: [{ uri: { prefix: '/login' }, headers: { foo: { exact: 'bar' } } }],
      rewrite: { authority: 'login.default.example.com' },
      route: [{ destination: { host: 'gateway' } }],
    }),
    [
      {
        path: '/login',
        pathType: 'literal',
        headers: { foo: { exact: 'bar' } },
        rewriteHost: 'login.default.example.com',
        splits: [{ host: 'login.default.example.com', percent: 100 }],
      },
    ],
  )
})

test('matches: exact, prefix, regex, without case, presence of a header, methods', () => {
  const asked = (...match: NonNullable<IstioHTTPRoute['match']>) =>
    paths({ match, route }).map(({ splits: _splits, ...path }) => path)
  assert.deepEqual(
    asked(
      { uri: { exact: '/a' } },
      { uri: { regex: '/a.*' } },
      { uri: { prefix: '/A.b' }, ignoreUriCase: true },
      { uri: { prefix: '/' } },
      { headers: { 'X-Here': {} } },
      { headers: { 'x-like': { prefix: 'a+' } }, queryParams: { q: { regex: '[0-9]+' } } },
      { method: { exact: 'GET' } },
      { method: { regex: 'GET|POST' } },
    ),
    [
      { path: '/a', pathType: 'exact' },
      { path: '/a.*', pathType: 'regex' },
      { path: '(?i)/A\\.b(?s:.*)', pathType: 'regex' },
      {},
      { headers: { 'x-here': { regex: '(?s).*' } } },
      { headers: { 'x-like': { regex: 'a\\+(?s:.*)' } }, query: { q: { regex: '[0-9]+' } } },
      { methods: ['GET'] },
      { methods: ['GET', 'POST'] },
    ],
  )
})

test('a scheme is asked for where it leaves one of the two', () => {
  const schemes = [{ exact: 'https' }, { regex: 'http' }, { prefix: 'http' }, {}]
  assert.deepEqual(
    paths({ match: schemes.map((scheme) => ({ scheme })), route }).map(({ scheme }) => scheme),
    ['https', 'http', undefined, undefined],
  )
})

test('a match that asks for what cannot be seen takes no request', () => {
  assert.deepEqual(
    paths({
      match: [
        { withoutHeaders: { a: { exact: 'b' } } },
        { sourceLabels: { app: 'x' } },
        { scheme: { exact: 'ftp' } },
        { port: 443 },
        { uri: { prefix: '/x' }, withoutHeaders: {} },
      ],
      route,
    }),
    [{ path: '/x', pathType: 'literal', splits }],
  )
})

test('weights, headers of a rule and of a destination, rewrite, timeout, copies', () => {
  const [path] = paths({
    match: [{ uri: { prefix: '/v1/' } }],
    rewrite: { uri: '/' },
    timeout: '1.5s',
    headers: { request: { set: { A: '1' }, remove: ['B'] }, response: { add: { C: '2' } } },
    route: [
      {
        destination: { host: 'app', port: { number: 8080 } },
        weight: 25,
        headers: { request: { set: { Host: 'inner' } } },
      },
      { destination: { host: 'other' }, weight: 75 },
    ],
    mirror: { host: 'copy' },
    mirrorPercentage: { value: 12.5 },
  })
  assert.deepEqual(path, {
    path: '/v1/',
    pathType: 'literal',
    filters: {
      requestHeaders: { set: { A: '1' }, remove: ['B'] },
      responseHeaders: { add: { C: '2' } },
      rewritePath: { type: 'prefix', value: '/' },
      mirrors: [{ to: { service: 'default/copy:80', percent: 100 }, percent: 12.5 }],
    },
    timeoutMs: 1500,
    splits: [
      {
        service: 'default/app:8080',
        percent: 25,
        appendHeaders: { 'K-Original-Host': 'inner' },
        filters: { requestHeaders: {} },
      },
      { service: 'default/other:80', percent: 75 },
    ],
  })
})

test('redirects, answers of its own, and destinations that are not there', () => {
  const [redirect, direct, missing] = paths(
    { redirect: { uri: '/new', authority: 'b.example:8443', redirectCode: 307 } },
    { directResponse: { status: 418 } },
    { route: [{ destination: { host: 'missing' } }] },
  )
  assert.deepEqual(redirect?.filters, {
    redirect: { host: 'b.example', port: 8443, path: { type: 'full', value: '/new' }, status: 307 },
  })
  assert.deepEqual(direct?.filters, { status: 418 })
  assert.deepEqual(missing?.splits, [{ percent: 100, filters: { status: 503 } }])
})
