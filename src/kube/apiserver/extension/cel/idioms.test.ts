/** The idioms of rules in the definitions of well-known projects, each true of one object. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Budget, celEngine, loadCel } from './engine.ts'
import { celValue } from './values.ts'

const self = {
  a: 'x',
  cidr: '10.0.0.0/8',
  dbl: 1.5,
  emptyList: [],
  flag: true,
  groups: [{ providers: [{ name: 'p1' }] }, { providers: [{ name: 'p2' }] }],
  intor: 50,
  labels: { k: 'v', 'app.kubernetes.io/name': 'x' },
  list: ['a', 'b'],
  listeners: [
    { name: 'a', port: 80, protocol: 'HTTP' },
    { name: 'b', port: 443, protocol: 'HTTPS', tls: { mode: 'T' }, hostname: 'x' },
  ],
  metadata: { name: 'abc' },
  mixed: '50%',
  n: 5,
  nul: null,
  obj: { a: 1 },
  port: 80,
  ps: [{ weight: 60 }, { weight: 40 }],
  status: { conditions: [{ type: 'Ready', status: 'True' }] },
  storage: '10Gi',
  t2: '30m',
  time: '1h',
  type: 'A',
  url: 'https://a.b/c',
  value: 'v',
  x: 3,
}
const oldSelf = { x: 2, n: 5, a: 'x', listeners: [], obj: { a: 1 }, list: ['a'] }

const truths: readonly string[] = [
  `self.listeners.all(l, l.protocol in ['HTTP','TCP'] ? !has(l.tls) : true)`,
  `self.listeners.all(l1, self.listeners.exists_one(l2, l1.port == l2.port && l1.protocol == l2.protocol && (has(l1.hostname) && has(l2.hostname) ? l1.hostname == l2.hostname : !has(l1.hostname) && !has(l2.hostname))))`,
  `has(self.value) != has(self.ref)`,
  `!has(oldSelf.zz) || has(self.zz)`,
  `[has(self.a), has(self.bb)].filter(x, x).size() == 1`,
  `[has(self.a), has(self.bb)].exists_one(x, x)`,
  `(has(self.a)?1:0) + (has(self.bb)?1:0) == 1`,
  `duration(self.t2) <= duration(self.time)`,
  `self.groups.map(pg, pg.providers.map(pp, pp.name)).map(p, self.groups.map(pg, pg.providers.map(pp, pp.name)).filter(cp, cp != p).exists(cp, p.exists(pn, pn in cp))).exists(p, !p)`,
  `self.metadata.name == 'abc' && self.metadata.name.size() <= 40`,
  `int('a:5'.split(':')[1]) > 0`,
  `self.ps.map(p, p.weight).sum() == 100`,
  `(has(self.x) ? self.x : 0) >= 0`,
  `(has(self.zz) ? self.zz : 'd') == 'd'`,
  `self.x + 1 > oldSelf.x && self.x >= oldSelf.x`,
  `!self.list.exists(e, self.list.filter(f, f == e).size() > 1)`,
  `has(self.status) && has(self.status.conditions) && self.status.conditions.exists(c, c.type == 'Ready' && c.status == 'True')`,
  `!self.status.conditions.exists(c, c.type == 'P') ? true : self.obj == oldSelf.obj`,
  `'k' in self.labels && self.labels['k'] == 'v'`,
  `self.labels.all(key, size(key) < 64 && self.labels[key].size() > 0)`,
  `string(self.port) == '80' && self.port == int('80') && double(self.port) == 80.0`,
  `self.dbl > 1 && self.dbl <= 2.0 && self.n > 1.5`,
  `type(self.intor) == int ? self.intor > 0 : isQuantity(self.intor)`,
  `(type(self.mixed) == string && self.mixed.matches('^[0-9]+%$')) || (type(self.mixed) == int && self.mixed > 0)`,
  `type(self.mixed) == string ? self.mixed.endsWith('%') : self.mixed <= 100`,
  `self.?foo.bar.orValue('') == ''`,
  `self.?obj.a.orValue(0) == 1`,
  `self.?obj.?a.hasValue()`,
  `oldSelf == null || self.a == oldSelf.a`,
  `self.list.size() >= oldSelf.list.size() && oldSelf.list.all(o, o in self.list)`,
  `quantity(self.storage).compareTo(quantity('1Gi')) >= 0`,
  `cidr(self.cidr).ip().family() == 4`,
  `url(self.url).getHostname() == 'a.b'`,
  `self.emptyList.size() == 0 && self.emptyList.all(x, false)`,
  `self.nul == null`,
  `!(self.type in ['B']) && ['A','B'].exists(t, t == self.type)`,
  `self.list.join(',') == 'a,b' && self.list[0] == 'a' && self.list.indexOf('b') == 1`,
  `self.list.map(x, x.upperAscii()) == ['A','B']`,
  `self == self && self.obj == {'a': 1}`,
  `size(self.list) > 0 && self.list.filter(x, x != 'a').size() == 1`,
  `optional.of(self.x).optMap(v, v + 1).orValue(0) == 4`,
  `self.?x.optMap(v, v + 1).orValue(0) == 4`,
  `[1, 2.0, 'x', null].size() == 4`,
  `{'a': 1, 'b': 'x'}.size() == 2`,
  `self.x % 2 == 1 && self.x * 2 == 6 && -self.x == -3 && self.n / 2 == 2`,
  `self.a.size() == 1 && size(self.a) == 1`,
  `has(self.labels) && 'app.kubernetes.io/name' in self.labels`,
  `self.time == '1h' || duration(self.time) > duration('0s')`,
  `self.time.matches('^([0-9]{1,5}(h|m|s|ms)){1,4}$')`,
  `self.list == ['a','b'] && self.list != ['b','a'] && self.list + ['c'] == ['a','b','c']`,
  `dyn(self.x) == dyn(3)`,
  `self.x == 3 && self.x == 3u || true`,
  `uint(self.x) == 3u`,
  `timestamp('2024-01-01T00:00:00Z').getFullYear() == 2024`,
  `self.flag && !self.flag == false`,
  `self.n in [1,5] && !(self.n in [])`,
  `self.all(k, k != 'zz')`,
  `self.obj.exists(k, k == 'a' && self.obj[k] == 1)`,
  `self.listeners.exists(l, l.name.startsWith('a') || l.hostname == 'zz')`,
  `sets.contains(self.list, ['a']) && !sets.intersects(self.list, ['z'])`,
  `'a'.lowerAscii() == 'a' && 'abc'.substring(1) == 'bc' && 'abc'.substring(0,1) == 'a' && 'abca'.lastIndexOf('a') == 3`,
]

test('idioms of rules', async () => {
  await loadCel()
  const values = { self: celValue(undefined, self), oldSelf: celValue(undefined, oldSelf) }
  for (const truth of truths) {
    const program = celEngine().compile(truth, ['self', 'oldSelf'])
    assert.equal(program.evaluate(values, new Budget(100_000)), true, truth)
  }
})
