import assert from 'node:assert/strict'
import { test } from 'node:test'
import { configRegistries } from './registries.ts'

test('what nothing says: every registry as it is, the kubelet’s thresholds', () => {
  const { registries, saysRegistries, gc, maxParallel } = configRegistries.defaults
  assert.deepEqual([registries.offline, registries.mirrors.size, saysRegistries], [false, 0, false])
  assert.deepEqual([gc.highPercent, gc.lowPercent, gc.minAgeMs, gc.maxAgeMs], [85, 80, 120_000, 0])
  assert.equal(maxParallel, 4)
})

test('the example is what it says', () => {
  const text = /^registries\.yaml: \|\n((?: {2}.*\n)+)/m.exec(configRegistries.example)?.[1] ?? ''
  const config = configRegistries.parse({
    'registries.yaml': text.replaceAll(/^ {2}/gm, ''),
    offline: 'true',
    'image-store-max-size': '2Gi',
  })
  assert.equal(config.registries.offline, true)
  assert.equal(config.gc.maxBytes, 2 ** 31)
  const mirror = config.registries.mirrors.get('registry.cn-hangzhou.aliyuncs.com')
  assert.deepEqual(mirror?.endpoints, ['http://localhost:5000'])
  assert.deepEqual(mirror?.rewrites[0]?.replacement, 'mirror/team/$1')
  assert.equal(
    config.registries.access.get('registry.example.com:5000')?.tls.caFile,
    '/etc/ssl/example.pem',
  )
})

for (const [data, refused] of [
  [
    { 'registries.yaml': 'mirror: {}' },
    /failed to parse registries\.yaml: registries: unknown key "mirror"/,
  ],
  [{ 'registries.yaml': 'a: [' }, /failed to parse registries\.yaml: yaml: line 1/],
  [{ 'max-image-size': 'much' }, /"max-image-size": expected a size such as 20Gi, found "much"/],
  [{ 'max-parallel-downloads': '0' }, /max-parallel-downloads must be from 1 to 64, was: 0/],
  [{ 'image-gc-low-threshold-percent': '90' }, /low-threshold-percent\(90\) must be <= .*\(85\)/],
] as const)
  test(`refused: ${JSON.stringify(data)}`, () => {
    assert.throws(() => configRegistries.parse(data), refused)
  })
