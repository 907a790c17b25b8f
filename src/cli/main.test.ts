import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { layoutOf } from '../platform/config.ts'
import { run } from './main.ts'

const nobodyListens = `apiVersion: v1
kind: Config
clusters: [{name: ebb, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: ebb, user: {token: none}}]
contexts: [{name: ebb, context: {cluster: ebb, user: ebb}}]
current-context: ebb
`

test('who asks while no platform runs is told what to do', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'ebb-cli-'))
  try {
    const told: string[] = []
    const out = { print: () => {}, note: (line: string) => void told.push(line) }
    const list = ['event', 'list', '--data-dir', directory]
    assert.equal(await run(list, out), 1)
    assert.match(
      told.join('\n'),
      /^ebb event: no platform has been started in .*: run `ebb up` first/,
    )
    told.length = 0
    await writeFile(layoutOf(directory).kubeconfig, nobodyListens)
    assert.equal(await run(list, out), 1)
    assert.match(
      told.join('\n'),
      /^ebb event: can't reach the API server .*: is `ebb up` running\?$/,
    )
  } finally {
    await rm(directory, { recursive: true })
  }
})

test('help is given wherever it is asked for', async () => {
  const help = async (...argv: string[]) => {
    const told: string[] = []
    assert.equal(await run(argv, { print: (text) => void told.push(text), note: () => {} }), 0)
    return told.join('\n')
  }
  const send = await help('event', 'send', '--help')
  assert.match(send, /^ebb event send: sends an event/)
  assert.equal(await help('help', 'event', 'send'), send)
  assert.equal(await help('event', 'help', 'send'), send)
  assert.match(await help('help'), /^Ebb: /)
  const nobody: string[] = []
  const out = { print: () => {}, note: (line: string) => void nobody.push(line) }
  assert.equal(await run(['help', 'toString'], out), 2)
  assert.match(nobody[0] ?? '', /^ebb: unknown command "toString"/)
  assert.equal(await run(['event', 'list', '--limit'], out), 2)
  assert.match(nobody.join('\n'), /--limit: expected N behind it/)
  assert.equal(await run(['event', 'list', '--type', '--json'], out), 2)
  assert.match(nobody.join('\n'), /--type: expected TYPE behind it/)
})

test('a mistake is answered with the usage of what was asked for', async () => {
  const usage = async (...argv: string[]) => {
    const told: string[] = []
    assert.equal(await run(argv, { print: () => {}, note: (line) => void told.push(line) }), 2)
    return told.at(-1)
  }
  assert.match(
    (await usage('event', '--type', 'send', 'list', '--wrong')) ?? '',
    /^Usage: ebb event list \[FLAGS\] /,
  )
  assert.match(
    (await usage('event', '--wrong', 'replay', '--limit', 'send')) ?? '',
    /^Usage: ebb event replay /,
  )
  assert.match(
    (await usage('event', 'sned', '--broker', 'tail')) ?? '',
    /^Usage: ebb event send \|/,
  )
})
