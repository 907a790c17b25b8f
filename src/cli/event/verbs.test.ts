import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { parseArguments } from '../command.ts'
import { event } from './event.ts'
import { eventVerbs } from './verbs.ts'

/** What a shell makes of a line of the help. */
function wordsOf(line: string): readonly string[] {
  const script = `ebb() { printf '%s\\0' "$@"; }\n${line.replace(/\| jq .*/, '')}`
  const { stdout, stderr, status } = spawnSync('sh', ['-c', script], { encoding: 'utf8' })
  assert.deepEqual([status, stderr], [0, ''], line)
  return stdout.split('\0').slice(0, -1)
}

test('every example of the help is a line that a shell and the command take', () => {
  for (const [verb, { examples }] of Object.entries(eventVerbs)) {
    assert.ok(examples.length > 0, verb)
    for (const example of examples) {
      const [noun, ...argv] = wordsOf(example)
      const { positionals } = parseArguments(event, argv)
      assert.deepEqual([noun, positionals[0]], ['event', verb], example)
    }
  }
})
