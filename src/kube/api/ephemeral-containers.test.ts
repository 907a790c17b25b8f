import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultEphemeral, ephemeralAtCreation, ephemeralProblems } from './ephemeral-containers.ts'
import type { PodSpec } from './pod-spec.ts'

const spec = (...ephemeralContainers: object[]) =>
  defaultEphemeral({
    containers: [{ name: 'c', image: 'i' }],
    ephemeralContainers,
  } as PodSpec)
const problems = (now: PodSpec, before: PodSpec): string[] =>
  [...ephemeralProblems(now, before)].map(({ field, detail }) => `${field}: ${detail}`)

test('containers are added, with the defaults of all containers', () => {
  const before = spec()
  const added = spec({ name: 'd', image: 'busybox:1', targetContainerName: 'c', tty: true })
  assert.deepEqual(problems(added, before), [])
  const [container] = added.ephemeralContainers ?? []
  assert.deepEqual(
    [
      container?.imagePullPolicy,
      container?.terminationMessagePolicy,
      container?.targetContainerName,
    ],
    ['IfNotPresent', 'File', 'c'],
  )
})

test('those that are there stay as they are', () => {
  const before = spec({ name: 'd', image: 'busybox' })
  assert.match(problems(spec(), before).join(), /"d" may not be removed/)
  assert.match(
    problems(spec({ name: 'd', image: 'other' }), before).join(),
    /"d" may not be changed/,
  )
  assert.deepEqual(problems(before, before), [])
})

test('what a container that only looks on can not have', () => {
  const cases: readonly (readonly [object, RegExp])[] = [
    [{ name: 'c', image: 'i' }, /\[0\]\.name: Duplicate value: "c"/],
    [{ name: 'd' }, /\[0\]\.image: Required value/],
    [{ name: 'd', image: 'i', targetContainerName: 'z' }, /targetContainerName: Not found: "z"/],
    [{ name: 'd', image: 'i', ports: [{ containerPort: 1 }] }, /\.ports: .*cannot be set/],
    [{ name: 'd', image: 'i', lifecycle: {} }, /\.lifecycle: .*cannot be set/],
    [
      { name: 'd', image: 'i', resources: { limits: { cpu: '1' } } },
      /\.resources: .*cannot be set/,
    ],
  ]
  for (const [container, text] of cases)
    assert.match(problems(spec(container), spec()).join('\n'), text)
  assert.equal([...ephemeralAtCreation(spec({ name: 'd', image: 'i' }))].length, 1)
  assert.equal([...ephemeralAtCreation(spec())].length, 0)
})
