import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HTTPRoute, HTTPRouteSpec } from '../api/http-route-spec.ts'
import { problem } from './backend.ts'
import { httpRouteEntries } from './http-route-rules.ts'

const route = (spec: HTTPRouteSpec): HTTPRoute => ({
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind: 'HTTPRoute',
  metadata: { namespace: 'default', name: 'shop' },
  spec,
})
const translated = (spec: HTTPRouteSpec) =>
  httpRouteEntries(route(spec), {
    backend: ({ name, port = 80 }) =>
      name === 'missing'
        ? problem('BackendNotFound', 'Service default/missing is not there')
        : { target: { service: `default/${name}:${port}` } },
  })

test('each match of a rule is a path of its own, with the rule’s targets and filters', () => {
  const { entries, problems } = translated({
    rules: [
      {
        matches: [
          {
            path: { type: 'Exact', value: '/a' },
            headers: [
              { name: 'X-A', value: '1' },
              { name: 'x-a', value: '2' },
              { name: 'X-B', type: 'RegularExpression', value: 'b+' },
            ],
            queryParams: [{ name: 'q', value: 'x' }],
            method: 'POST',
          },
          { path: { type: 'PathPrefix', value: '/' } },
        ],
        filters: [
          {
            type: 'RequestHeaderModifier',
            requestHeaderModifier: {
              set: [{ name: 'S', value: '1' }],
              add: [{ name: 'A', value: '2' }],
              remove: ['R'],
            },
          },
          {
            type: 'URLRewrite',
            urlRewrite: {
              hostname: 'inner.example',
              path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/v2' },
            },
          },
        ],
        backendRefs: [
          { name: 'one', port: 8080, weight: 3 },
          { name: 'two', port: 80, weight: 1 },
        ],
        timeouts: { request: '10s', backendRequest: '2s' },
      },
    ],
  })
  assert.deepEqual(problems, [])
  const common = {
    rewriteHost: 'inner.example',
    filters: {
      requestHeaders: { set: { S: '1' }, add: { A: '2' }, remove: ['R'] },
      rewritePath: { type: 'prefix', value: '/v2' },
    },
    timeoutMs: 2000,
    splits: [
      { service: 'default/one:8080', percent: 3 },
      { service: 'default/two:80', percent: 1 },
    ],
  }
  assert.deepEqual(
    entries.map(({ at }) => at),
    ['spec.rules[0].matches[0]', 'spec.rules[0].matches[1]'],
  )
  const [first, second] = entries.map(({ path }) => ({
    ...path,
    ...(path.headers && { headers: { ...path.headers } }),
    ...(path.query && { query: { ...path.query } }),
  }))
  assert.deepEqual(first, {
    path: '/a',
    pathType: 'exact',
    methods: ['POST'],
    headers: { 'x-a': { exact: '1' }, 'x-b': { regex: 'b+' } },
    query: { q: { exact: 'x' } },
    ...common,
  })
  assert.deepEqual(second, common)
})

test('what is not there takes its share of the requests and answers them with 500', () => {
  const { entries, problems } = translated({
    rules: [
      {
        backendRefs: [
          { name: 'missing', port: 80, weight: 2 },
          { name: 'one', port: 80 },
        ],
      },
    ],
  })
  assert.deepEqual(problems, [
    { reason: 'BackendNotFound', message: 'Service default/missing is not there' },
  ])
  assert.deepEqual(entries[0]?.path, {
    filters: {},
    splits: [
      { percent: 2, filters: { status: 500 } },
      { service: 'default/one:80', percent: 1 },
    ],
  })
})

test('a rule that leads nowhere answers 500, a redirect needs no target', () => {
  const { entries } = translated({
    rules: [
      {},
      {
        filters: [
          {
            type: 'RequestRedirect',
            requestRedirect: {
              scheme: 'https',
              hostname: 'new.example',
              port: 8443,
              path: { type: 'ReplaceFullPath', replaceFullPath: '/x' },
              statusCode: 301,
            },
          },
        ],
      },
      { backendRefs: [{ name: 'one', port: 80, weight: 0 }] },
    ],
  })
  assert.deepEqual(
    entries.map(({ path }) => path.filters),
    [
      { status: 500 },
      {
        redirect: {
          scheme: 'https',
          host: 'new.example',
          port: 8443,
          path: { type: 'full', value: '/x' },
          status: 301,
        },
      },
      { status: 500 },
    ],
  )
})

test('copies go to what is there, in the part that is said', () => {
  const { entries, problems } = translated({
    rules: [
      {
        filters: [
          { type: 'RequestMirror', requestMirror: { backendRef: { name: 'copy', port: 80 } } },
          {
            type: 'RequestMirror',
            requestMirror: {
              backendRef: { name: 'copy2', port: 80 },
              fraction: { numerator: 1, denominator: 4 },
            },
          },
          { type: 'RequestMirror', requestMirror: { backendRef: { name: 'missing' } } },
        ],
        backendRefs: [{ name: 'one', port: 80 }],
      },
    ],
  })
  assert.equal(problems.length, 1)
  assert.deepEqual(entries[0]?.path.filters?.mirrors, [
    { to: { service: 'default/copy:80', percent: 1 }, percent: 100 },
    { to: { service: 'default/copy2:80', percent: 1 }, percent: 25 },
  ])
})

test('a timeout of zero is none', () => {
  const { entries } = translated({
    rules: [{ timeouts: { request: '0s' }, backendRefs: [{ name: 'one', port: 80 }] }],
  })
  assert.equal(entries[0]?.path.timeoutMs, 86_400_000)
})
