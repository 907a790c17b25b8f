/** The small readers of HTTP requests: paths, media types, options, the text of JSON. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { negotiate } from './media-types.ts'
import { mergePatch } from '../verbs/merge-patch.ts'
import { readOptions, withDeleteOptions } from './request-options.ts'
import { parseResourcePath } from './request-path.ts'
import { duplicateFields, nestsDeeper } from './strict-json.ts'

test('paths', () => {
  const brief = (path: string): string | undefined => {
    const found = parseResourcePath(path)
    return (
      found &&
      [found.group, found.version, found.namespace, found.resource, found.name, found.subresource]
        .concat(found.rest, found.watch ? 'watch' : [])
        .join('|')
    )
  }
  assert.equal(brief('/api/v1/pods'), '|v1||pods|||')
  assert.equal(brief('/api/v1/namespaces/'), '|v1||namespaces|||')
  assert.equal(brief('/api/v1/namespaces/ns'), '|v1||namespaces|ns||')
  assert.equal(brief('/api/v1/namespaces/ns/finalize'), '|v1||namespaces|ns|finalize|')
  assert.equal(brief('/api/v1/namespaces/ns/pods/p/log'), '|v1|ns|pods|p|log|')
  assert.equal(brief('/apis/a.b/v2/namespaces/ns/things/x%3Ay'), 'a.b|v2|ns|things|x:y||')
  assert.equal(brief('/api/v1/watch/namespaces/ns/pods'), '|v1|ns|pods||||watch')
  assert.equal(brief('/api/v1/namespaces/ns/pods/p/proxy/a/b'), '|v1|ns|pods|p|proxy|a/b')
  for (const path of ['/', '/api', '/api/v1', '/apis/g', '/apis/g/v1', '/healthz', '/api/v1/%zz'])
    assert.equal(brief(path), undefined, path)
})

test('Accept: the first clause that can be served, by q and then position', () => {
  const chosen = (accept?: string): string | undefined => {
    const found = negotiate(accept)
    return found && `${found.format} ${found.as} ${found.version}`
  }
  assert.equal(chosen(undefined), 'json object v1')
  assert.equal(chosen('*/*'), 'json object v1')
  assert.equal(chosen('application/vnd.kubernetes.protobuf,application/json'), 'json object v1')
  assert.equal(
    chosen('application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json'),
    'json Table v1beta1',
  )
  assert.equal(
    chosen('application/json;as=Table;v=v9;g=meta.k8s.io,application/json'),
    'json object v1',
  )
  assert.equal(chosen('application/yaml;q=0.2, application/json;q=0.1'), 'yaml object v1')
  assert.equal(chosen('text/html'), undefined)
  assert.equal(chosen('application/json;q=0'), undefined)
})

test('options', () => {
  const read = (query: string) => readOptions(new URLSearchParams(query), 'ListOptions')
  assert.deepEqual(
    read(
      'limit=5&allowWatchBookmarks=true&sendInitialEvents=false&labelSelector=a%3Db&fieldManager=',
    ),
    { limit: 5, allowWatchBookmarks: true, sendInitialEvents: false, labelSelector: 'a=b' },
  )
  assert.throws(() => read('timeoutSeconds=1.5'), /strconv.ParseInt: parsing "1.5"/)
  assert.throws(
    () => read('fieldValidation=Foo'),
    /^StatusError: ListOptions.meta.k8s.io "" is invalid: fieldValidation: Unsupported value: "Foo"/,
  )
  assert.deepEqual(
    withDeleteOptions(read('gracePeriodSeconds=9&propagationPolicy=Orphan'), {
      gracePeriodSeconds: 0,
      propagationPolicy: 'Foreground',
      dryRun: ['All'],
      preconditions: { uid: 'u' },
    }),
    {
      gracePeriodSeconds: 0,
      propagationPolicy: 'Foreground',
      dryRun: true,
      preconditions: { uid: 'u' },
    },
  )
  assert.equal(withDeleteOptions({}, { orphanDependents: true }).propagationPolicy, 'Orphan')
  assert.throws(
    () => withDeleteOptions({}, { propagationPolicy: 'Maybe' }),
    /Unsupported value: "Maybe"/,
  )
})

test('duplicate fields are found with their path, nesting is measured', () => {
  assert.deepEqual(duplicateFields('{"a":1,"b":{"c":[{"d":1},{"d":1,"d":2}]},"a":"a"}'), [
    'b.c[1].d',
    'a',
  ])
  assert.deepEqual(duplicateFields('{"a":"{\\"b\\":1,\\"b\\":2}","b":[1,"b","b"]}'), [])
  assert.equal(nestsDeeper('[[{"a":"[[[["}]]', 3), false)
  assert.equal(nestsDeeper('[[{"a":[]}]]', 3), true)
})

test('property: JSON without duplicates has none, in any spelling', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.constantFrom(0, 2), (value, indent) => {
      assert.deepEqual(duplicateFields(JSON.stringify(value, undefined, indent)), [])
    }),
  )
})

test('merge patch: RFC 7386 and a field named __proto__', () => {
  assert.deepEqual(
    mergePatch({ a: 1, b: { c: 1, d: 2 }, e: [1] }, { a: null, b: { c: 3 }, e: [2] }),
    {
      b: { c: 3, d: 2 },
      e: [2],
    },
  )
  const patched = mergePatch({}, JSON.parse('{"__proto__":{"x":1}}'))
  assert.equal(Reflect.get(Object(patched), 'x'), undefined)
  assert.equal(Reflect.get({}, 'x'), undefined)
})

test('the name of a field manager is printable and at most 128 bytes', () => {
  const read = (name: string) =>
    readOptions(new URLSearchParams({ fieldManager: name }), 'PatchOptions').fieldManager
  assert.equal(read('é manager'), 'é manager')
  assert.throws(
    () => read('é\n'),
    /^StatusError: PatchOptions\.meta\.k8s\.io "" is invalid: fieldManager: Invalid value: "é\\n": invalid character U\+000A \(at position 2\)$/,
  )
  assert.throws(
    () => read('x'.repeat(129)),
    /fieldManager: Too long: may not be more than 128 bytes/,
  )
})
