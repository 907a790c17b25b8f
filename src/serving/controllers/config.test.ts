import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ConfigMap } from '../../kube/api/config-map.ts'
import type { Reader } from '../../kube/controller/reconciler.ts'
import { aRoute } from '../../testing/serving.ts'
import { Route } from '../api/route.ts'
import { configNetwork } from '../api/config/network.ts'
import { createReadConfig, watchConfigs } from './config.ts'

const map = (data: Record<string, string>, namespace = 'knative-serving'): ConfigMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'config-network', namespace },
  data,
})

const reader = (found: unknown): Reader => ({
  get: <T>() => found as T,
  list: <T>() => [aRoute('a', []), aRoute('b', [])] as unknown as readonly T[],
  owned: () => [],
})

test('a value that cannot be read leaves the last good one in force', () => {
  const readConfig = createReadConfig()
  const seconds = (found?: ConfigMap) =>
    readConfig(reader(found), configNetwork).rolloutDurationSeconds
  assert.equal(seconds(), 0)
  assert.equal(seconds(map({ 'rollout-duration': '30' })), 30)
  assert.equal(seconds(map({ 'rollout-duration': 'soon' })), 30)
})

test('only the configs that are read wake, and they wake everything', () => {
  const { wake } = watchConfigs(Route, configNetwork)
  const woken = (changed: ConfigMap) =>
    [...wake(changed, reader(undefined))].map(({ name }) => name)
  assert.deepEqual(woken(map({})), ['a', 'b'])
  assert.deepEqual(woken(map({}, 'default')), [])
})
