/** Hashes, names, durations, templates, small YAML and error texts: values in, values out. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { crc32 as zlibCrc32 } from 'node:zlib'
import fc from 'fast-check'
import { parse } from 'yaml'
import { childName } from './child-name.ts'
import { goFloat, parseInteger } from './config-values.ts'
import { durationError, formatDuration, parseDuration } from './duration.ts'
import {
  asWarning,
  genericError,
  invalidKeyName,
  invalidValue,
  missingField,
  reportErrors,
  via,
} from './field-error.ts'
import { adler32, crc32, fnv32a, md5 } from './hash.ts'
import { parseSmallYaml } from './small-yaml.ts'
import { compileTemplate, type TemplateStruct } from './template.ts'

test('hashes are the well-known ones', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 300, unit: 'grapheme' }), (text) => {
      assert.equal(md5(text), createHash('md5').update(text).digest('hex'))
      assert.equal(crc32(text), zlibCrc32(text))
    }),
  )
  assert.equal(adler32('Wikipedia'), 0x11e60398)
  assert.equal(fnv32a('foobar'), 0xbf9cf968)
})

test('child names', () => {
  assert.equal(childName('hello', '-00001'), 'hello-00001')
  const long = 'a'.repeat(60)
  assert.equal(childName(long, '-deployment'), `${'a'.repeat(20)}${md5(long)}-deployment`)
  const suffix = `-${'s'.repeat(40)}`
  assert.equal(childName(long, suffix), `${'a'.repeat(31)}${md5(long + suffix)}`)
})

test('child names have at most 63 characters, end well, and differ where parents do', () => {
  const name = fc.stringMatching(/^[a-z]([-a-z0-9]{0,80}[a-z0-9])?$/)
  fc.assert(
    fc.property(name, name, fc.stringMatching(/^-[a-z0-9-]{0,70}[a-z0-9]$/), (a, b, suffix) => {
      const child = childName(a, suffix)
      assert.ok(child.length <= 63)
      assert.match(child, /[a-z0-9]$/)
      if (a !== b) assert.notEqual(child, childName(b, suffix))
    }),
  )
})

test('durations as Go reads and writes them', () => {
  for (const [text, ms, written] of [
    ['0', 0, '0s'],
    ['60s', 60_000, '1m0s'],
    ['1h', 3_600_000, '1h0m0s'],
    ['1h15m30.5s', 4_530_500, '1h15m30.5s'],
    ['-1.5s', -1500, '-1.5s'],
    ['300ms', 300, '300ms'],
    ['1us', 0.001, '1µs'],
    ['2ns', 0.000002, '2ns'],
    ['.5s', 500, '500ms'],
  ] as const) {
    assert.equal(parseDuration(text), ms, text)
    assert.equal(formatDuration(ms), written, text)
  }
  for (const text of ['', '5', 's', '5x', '1h-1s', '-', '1e3s', '300000h10000000000h', '1 s'])
    assert.equal(parseDuration(text), undefined, text)
  assert.equal(durationError('5'), 'time: missing unit in duration "5"')
  assert.equal(durationError('5x'), 'time: unknown unit "x" in duration "5x"')
  assert.equal(durationError('abc'), 'time: invalid duration "abc"')
})

test('durations round trip', () => {
  fc.assert(
    fc.property(fc.integer({ min: -1e12, max: 1e12 }), (ms) => {
      assert.equal(parseDuration(formatDuration(ms)), ms)
    }),
  )
})

test('numbers as Go reads and writes them', () => {
  assert.deepEqual(
    ['1', '-7', '+3', '1.5', '', '0x1', '99999999999'].map((text) => parseInteger(text, 32)),
    [1, -7, 3, 'invalid syntax', 'invalid syntax', 'invalid syntax', 'value out of range'],
  )
  assert.deepEqual([0.5, 1000, 0.00001, 1e21].map(goFloat), ['0.5', '1000', '1e-05', '1e+21'])
})

const data: TemplateStruct = {
  Name: 'hello',
  Domain: 'example.com',
  Labels: new Map(),
  Annotations: new Map([['k', 'v']]),
  Request: { UserAgent: () => 'a"b' },
  N: 5,
}

test('templates', () => {
  for (const [text, wanted] of [
    ['{{.Name}}.{{.Domain}}', 'hello.example.com'],
    ['{{if eq (index .Annotations "k") "v"}}yes{{else}}no{{end}}', 'yes'],
    ['{{if .Labels.x}}a{{else if .Annotations.k}}b{{else}}c{{end}}', 'b'],
    ['a {{- .Name -}} b', 'ahellob'],
    ['{{with .Annotations.k}}{{.}}{{$.Name}}{{end}}', 'vhello'],
    ['{{js .Request.UserAgent}}{{/* nothing */}}', 'a\\"b'],
    ['{{.Name | printf}}', undefined],
    ['{{index .Annotations "none"}}|{{.Annotations.none}}', '|<no value>'],
    ['{{and .N (not .Labels)}}{{or .Labels.a "x"}}', 'truex'],
    ['{{if gt .N 4}}{{len .Name}}{{end}}', '5'],
    ['{{.Nope}}', undefined],
    ['{{.Name', undefined],
    ['{{if .Name}}', undefined],
    ['{{end}}', undefined],
    ['{{range .Labels}}{{end}}', undefined],
    ['{{}}', undefined],
  ] as const) {
    const execute = () => compileTemplate('t', text).execute(data)
    if (wanted === undefined) assert.throws(execute, /^Error: template: t:1: /, text)
    else assert.equal(execute(), wanted, text)
  }
})

test('no text makes the template reader do anything but answer or complain', () => {
  const piece = fc.constantFrom(
    '{{',
    '}}',
    'if',
    'end',
    'else',
    '.Name',
    '(',
    ')',
    '|',
    '"',
    ' ',
    '-',
    'eq',
    '1',
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
      try {
        compileTemplate('t', pieces.join('')).execute(data)
      } catch (error) {
        assert.match(String(error), /template: t:\d+: /)
      }
    }),
    { numRuns: 500 },
  )
  assert.throws(() => compileTemplate('t', `${'{{if .Name}}'.repeat(1e4)}`), /nested too deeply/)
  assert.throws(() => compileTemplate('t', `{{${'('.repeat(1e4)}`), /template: t:1/)
})

test('small YAML says what the YAML library says, or refuses', () => {
  for (const text of [
    '',
    'selector:\n  app: x\ntype: ""\nport: 8080\n',
    '{selector: {app: "x, y"}, port: 1}',
    'a:\n- b: 1\n  c: [x, y]\n- d\nz: http://x:1/y # c',
    'matchExpressions:\n  - key: "kubernetes.io/metadata.name"\n    operator: NotIn\n    values: ["kube-system"]',
    '# only a comment',
    "'a b': {}\nc: ~\nd: 'it''s'",
    'a: "b # c"\nb: true\nc: -1.5e3',
  ])
    assert.deepEqual(parseSmallYaml(text), parse(text), text)
  for (const text of ['a: [', 'a: 1\na: 2', 'a: *x', '\ta: 1', 'a: 1\n   b: 2', 'a: |\n  text'])
    assert.throws(() => parseSmallYaml(text), /yaml: line \d/, text)
})

test('long lines do not take long', () => {
  const spaces = ' '.repeat(200_000)
  assert.equal(parseSmallYaml(`a${spaces}b`), `a${spaces}b`)
  assert.equal(parseDuration(`${'1'.repeat(200_000)}x`), undefined)
  assert.equal(parseInteger(`${'1'.repeat(200_000)}x`), 'invalid syntax')
})

test('error texts: merged, sorted, with details', () => {
  const { refusal, warnings } = reportErrors([
    ...via('spec', [missingField('b'), missingField('a'), missingField('a')]),
    invalidValue('v', 'x', 'why'),
    ...via('spec.list[0]', [genericError('bad', '')]),
    ...via('a', [invalidKeyName('k', '[key]', 'd1', 'd2')]),
    genericError('no path'),
    ...via('w', [asWarning(genericError('careful', 'x')), asWarning(genericError('careful', 'y'))]),
  ])
  assert.equal(
    refusal,
    'bad: spec.list[0]\ninvalid key name "k": a[key]\nd1, d2\ninvalid value: v: x\nwhy\nmissing field(s): spec.a, spec.b\nno path',
  )
  assert.deepEqual(warnings, ['careful: w.x, w.y'])
})
