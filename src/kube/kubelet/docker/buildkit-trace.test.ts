import assert from 'node:assert/strict'
import { test } from 'node:test'
import { buildKitReader } from './buildkit-trace.ts'

const varint = (value: number): number[] =>
  value < 128 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >> 7)]
const bytes = (number: number, content: string | readonly number[]): number[] => {
  const body = [...Buffer.from(content)]
  return [...varint(number * 8 + 2), ...varint(body.length), ...body]
}
const flag = (number: number): number[] => [...varint(number * 8), 1]
const time = bytes(1, [8, 1])
const message = (...parts: readonly (readonly number[])[]): string =>
  Buffer.from(parts.flat()).toString('base64')

test('steps as they begin and end, and the output of commands in whole lines', () => {
  const said: string[] = []
  const read = buildKitReader((line) => said.push(line))
  const step = (...more: readonly (readonly number[])[]) =>
    bytes(1, [...bytes(1, 'sha256:a'), ...bytes(3, 'RUN make'), ...more.flat()])
  read(message(step())) // announced only
  read(message(step(bytes(5, time))))
  read(message(step(bytes(5, time)), bytes(3, [...bytes(1, 'sha256:a'), ...bytes(4, 'one\ntw')])))
  read(message(bytes(3, [...bytes(1, 'sha256:a'), ...bytes(4, 'o\n')])))
  read(message(step(bytes(5, time), bytes(6, time), bytes(7, 'exit code: 2'))))
  const cached = bytes(1, [
    ...bytes(1, 'sha256:b'),
    ...bytes(3, `COPY ${'x'.repeat(200)}`),
    ...flag(4),
    ...bytes(5, time),
    ...bytes(6, time),
  ])
  read(message(cached))
  read(message(cached))
  assert.deepEqual(said, [
    '#1 RUN make',
    '#1 one',
    '#1 two',
    '#1 ERROR: exit code: 2',
    `#2 COPY ${'x'.repeat(200)}`,
    '#2 CACHED',
  ])
})

test('what is no such message is passed over', () => {
  const said: string[] = []
  const read = buildKitReader((line) => said.push(line))
  for (const junk of ['', '////', 'CgUKA2Fi', Buffer.alloc(100, 0xff).toString('base64')])
    read(junk)
  assert.deepEqual(said, [])
})
