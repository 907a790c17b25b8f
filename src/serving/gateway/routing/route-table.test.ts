import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { findHeadEnd, parseRequestHead } from '../../../lib/http1/head.ts'
import type { IngressRoute, Path, Rule } from '../feed.ts'
import { destinationOf, hostName, revisionOfHost, RouteTable } from './route-table.ts'

const head = (target = '/', lines = '') => {
  const bytes = Buffer.from(`GET ${target} HTTP/1.1\r\nHost: h\r\n${lines}\r\n`)
  return parseRequestHead(bytes, 0, findHeadEnd(bytes, 0), 50)
}
const to = (revision: string, path: Partial<Path> = {}): Path => ({
  splits: [{ revision, percent: 100 }],
  ...path,
})
const ingress = (key: string, rules: Partial<Rule>[], hash = 'x'): IngressRoute => ({
  key,
  hash,
  rules: rules.map((rule) => ({ hosts: ['h'], visibility: 'ExternalIP', paths: [], ...rule })),
})
const tableOf = (...ingresses: IngressRoute[]) => {
  const table = new RouteTable()
  for (const one of ingresses) table.set(one)
  return table
}
const goes = (table: RouteTable, target = '/', lines = '', host = 'h') => {
  const route = table.host(host, true)
  return route && destinationOf(route, head(target, lines))?.revision
}

test('more header matches first, then the longest prefix, then order', () => {
  const table = tableOf(
    ingress('n/a', [
      {
        paths: [
          to('all'),
          to('late'),
          to('api', { path: '/api' }),
          to('api-v1', { path: '/api/v1' }),
          to('tag', { headers: { 'Knative-Serving-Tag': { exact: 'blue' } } }),
          to('both', { headers: { 'knative-serving-tag': { exact: 'blue' }, a: { exact: 'b' } } }),
        ],
      },
    ]),
  )
  assert.equal(goes(table), 'all')
  assert.equal(goes(table, '/api?x=/api/v1'), 'api')
  assert.equal(goes(table, '/api/v1/x'), 'api-v1')
  assert.equal(goes(table, '/api', 'KNATIVE-serving-TAG: blue\r\n'), 'tag')
  assert.equal(goes(table, '/', 'Knative-Serving-Tag: Blue\r\n'), 'all')
  assert.equal(goes(table, '/', 'Knative-Serving-Tag: blue\r\nA: b\r\n'), 'both')
})

test('cluster-local hosts are for local callers only', () => {
  const table = tableOf(
    ingress('n/a', [
      { hosts: ['A.n.Example.com'], paths: [to('out')] },
      { hosts: ['a.n'], visibility: 'ClusterLocal', paths: [to('in')] },
    ]),
  )
  assert.ok(table.host('a.n.example.com', false))
  assert.equal(table.host('a.n', false), undefined)
  assert.ok(table.host('a.n', true))
})

test('of a host with rules for inside and outside, callers inside get those for inside', () => {
  const table = tableOf(
    ingress('n/a', [
      { hosts: ['a.n'], paths: [to('out')] },
      { hosts: ['a.n'], visibility: 'ClusterLocal', paths: [to('in')] },
    ]),
  )
  const splits = (local: boolean) =>
    table.host('a.n', local)?.paths.map(({ choice }) => choice.entries[0]?.value.revision)
  assert.match(String(splits(false)), /out/)
  assert.match(String(splits(true)), /in/)
})

test('of two that claim a host the older has it, in whatever order they came', () => {
  const one = ingress('z/old', [{ hosts: ['h'], paths: [to('old')] }])
  const two = ingress('a/new', [{ hosts: ['h'], paths: [to('new')] }])
  const old = { ...one, createdAt: '2026-01-01T00:00:00Z' }
  const young = { ...two, createdAt: '2026-01-01T00:00:01Z' }
  for (const table of [tableOf(old, young), tableOf(young, old)]) {
    assert.equal(goes(table, '/', '', 'h'), 'old')
    table.set({ ...young, rules: [{ hosts: ['h'], visibility: 'ExternalIP', paths: [to('n2')] }] })
    assert.equal(goes(table, '/', '', 'h'), 'old')
    table.delete('z/old')
    assert.equal(goes(table, '/', '', 'h'), 'n2')
  }
})

test('who came first has a host until it goes; replacing one changes only its own', () => {
  const table = tableOf(
    ingress('n/a', [{ paths: [to('a')] }]),
    ingress('n/b', [{ paths: [to('b')] }, { hosts: ['own'], paths: [to('b-own')] }]),
  )
  assert.equal(goes(table), 'a')
  table.set(ingress('n/a', [{ paths: [to('a2')] }]))
  assert.equal(goes(table), 'a2')
  table.delete('n/a')
  assert.equal(goes(table), 'b')
  assert.equal(goes(table, '/', '', 'own'), 'b-own')
  table.set(ingress('n/b', [{ hosts: ['other'], paths: [to('b')] }]))
  assert.equal(goes(table), undefined)
  assert.equal(goes(table, '/', '', 'own'), undefined)
  table.delete('n/b')
  table.delete('n/b')
  assert.deepEqual([...table.keys()], [])
})

/** The first of the paths in the order of KIngress (or as given) that a naive reading finds to match. */
function naive(paths: readonly Path[], ordered: boolean, target: string, tag: string) {
  const headerCount = ({ headers = {} }: Path) => Object.keys(headers).length
  const better = (a: Path, b: Path): boolean =>
    headerCount(a) !== headerCount(b)
      ? headerCount(a) > headerCount(b)
      : (a.path ?? '').length > (b.path ?? '').length
  const fitting = paths.filter(
    ({ path = '', headers = {} }) =>
      target.slice(0, path.length) === path &&
      Object.values(headers).every((match) => 'exact' in match && match.exact === tag),
  )
  let best = fitting[0]
  if (!ordered) for (const path of fitting) if (best && better(path, best)) best = path
  return best?.splits[0]?.revision
}

test('the order of rules is the one that a naive reading gives', () => {
  const path = fc.record(
    {
      path: fc.constantFrom('/', '/a', '/a/b', '/b', ''),
      headers: fc.constantFrom<Path['headers']>({}, { t: { exact: 'x' } }, { t: { exact: 'y' } }),
    },
    { requiredKeys: [] },
  )
  fc.assert(
    fc.property(
      fc.array(fc.array(path, { maxLength: 4 }), { maxLength: 3 }),
      fc.boolean(),
      fc.constantFrom('/', '/a', '/a/b/c', '/c'),
      fc.constantFrom('x', 'y', 'z'),
      (rules, ordered, target, tag) => {
        let count = 0
        const named = rules.map((paths) =>
          paths.map(({ path, headers }) =>
            to(`${count++}`, { ...(path !== undefined && { path }), ...(headers && { headers }) }),
          ),
        )
        const table = tableOf(
          ingress(
            'n/a',
            named.map((paths) => ({ paths, ordered })),
          ),
        )
        assert.equal(
          goes(table, target, `t: ${tag}\r\n`),
          naive(named.flat(), ordered, target, tag),
        )
      },
    ),
    { numRuns: 1000 },
  )
})

test('a path whose regular expression cannot be read takes nothing, and is told of', () => {
  const complaints: string[] = []
  const table = new RouteTable(undefined, (message, key) => complaints.push(`${key}: ${message}`))
  table.set(
    ingress('n/a', [
      { ordered: true, paths: [to('bad', { path: '(', pathType: 'regex' }), to('good')] },
    ]),
  )
  assert.equal(goes(table, '/('), 'good')
  assert.match(complaints.join(), /^n\/a: the regular expression of the path, "\("/)
})

test('any percentages are exact over each hundred requests and spread evenly', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 40 }), { minLength: 2, maxLength: 4 }), (shares) => {
      const last = 100 - shares.slice(1).reduce((sum, share) => sum + share, 0)
      if (last < 0) return
      const percents = [last, ...shares.slice(1)]
      const table = tableOf(
        ingress('n/a', [
          { paths: [{ splits: percents.map((percent, i) => ({ revision: `${i}`, percent })) }] },
        ]),
      )
      for (let round = 0; round < 3; round++) {
        const counts = percents.map(() => 0)
        for (let i = 1; i <= 100; i++) {
          counts[Number(goes(table))]!++
          for (const [j, percent] of percents.entries())
            assert.ok(Math.abs((counts[j] ?? 0) - (i * percent) / 100) < percents.length)
        }
        assert.deepEqual(counts, percents)
      }
    }),
  )
})

test('a small share is not starved by frequent changes', () => {
  const at = (percent: number) =>
    ingress('n/a', [
      {
        paths: [
          {
            splits: [
              { revision: 'old', percent: 100 - percent },
              { revision: 'new', percent },
            ],
          },
        ],
      },
    ])
  const table = tableOf(at(1))
  let fresh = 0
  for (let step = 0; step < 50; step++) {
    table.set(at(1 + (step % 4)))
    for (let i = 0; i < 10; i++) if (goes(table) === 'new') fresh++
  }
  assert.ok(fresh >= 10 && fresh <= 15, `${fresh} of 500 at 2.5 %`)
})

test("added headers replace, Knative's own end here, and nothing breaks a line", () => {
  const table = tableOf(
    ingress('n/a', [
      {
        paths: [
          {
            rewriteHost: 'ignored',
            appendHeaders: { 'X-Path': 'p', 'Knative-Serving-Tag': 'path' },
            splits: [
              {
                revision: 'r',
                percent: 100,
                appendHeaders: {
                  'Knative-Serving-Revision': 'r',
                  'Knative-Serving-Tag': 'split',
                  'K-Original-Host': 'mapped.example.com',
                  'X-Bad': 'a\r\nX-Injected: b',
                  'Content-Length': '5',
                },
              },
            ],
          },
        ],
      },
    ]),
  )
  const route = table.host('h', false)
  const destination = route && destinationOf(route, head())
  assert.equal(destination?.revision, 'r')
  assert.equal(destination?.host, 'mapped.example.com')
  assert.equal(destination?.request?.lines, 'X-Path: p\r\nKnative-Serving-Tag: split\r\n')
  assert.deepEqual(destination?.request?.drops, new Set(['x-path', 'knative-serving-tag']))
})

test('names of hosts', () => {
  assert.equal(hostName('Hello.Default.example.com:8080'), 'hello.default.example.com')
  assert.equal(hostName('a.b.'), 'a.b')
  assert.equal(hostName('[::1]:80'), '[::1]')
  assert.equal(hostName('[::1]'), '[::1]')
  assert.equal(revisionOfHost('r.n', 'cluster.local'), 'n/r')
  assert.equal(revisionOfHost('r.n.svc', 'cluster.local'), 'n/r')
  assert.equal(revisionOfHost('r.n.svc.cluster.local', 'cluster.local'), 'n/r')
  assert.equal(revisionOfHost('r.n.svc.example.com', 'cluster.local'), undefined)
  assert.equal(revisionOfHost('r.n.example.com', 'cluster.local'), undefined)
  assert.equal(revisionOfHost('r', 'cluster.local'), undefined)
})
