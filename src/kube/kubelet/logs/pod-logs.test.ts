import assert from 'node:assert/strict'
import { appendFile, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { systemClock } from '../../../lib/clock.ts'
import { openPodLogs, type PodLogOptions } from './pod-logs.ts'

const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace: 'ns', uid: 'u' } }

async function logsOf(t: TestContext, text: string, marks = '', maxBytes?: number) {
  const dataDir = await mkdtemp(join(tmpdir(), 'ebb-logs-'))
  const logs = openPodLogs({
    dataDir,
    clock: systemClock,
    ...(maxBytes !== undefined && { maxBytes }),
  })
  const { port1: keepAlive } = new MessageChannel()
  keepAlive.ref() // the clock's alarms keep no process alive
  t.after(async () => {
    logs[Symbol.dispose]()
    keepAlive.close()
    await rm(dataDir, { recursive: true, force: true })
  })
  const path = logs.path(pod, 'c', 0)
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, text)
  if (marks) await writeFile(`${path}.marks`, marks)
  const read = async (
    options: Partial<PodLogOptions> = {},
    signal = new AbortController().signal,
  ) => {
    const all = { follow: false, previous: false, timestamps: false, ...options }
    let out = ''
    for await (const chunk of logs.read(pod, 'c', all, signal)) out += Buffer.from(chunk).toString()
    return out
  }
  return { logs, path, read }
}

const three = 'one\ntwo\nthree\n'
// "one" came at 1000, the others at 2000.
const marks = '4 1000\n14 2000\n'

const cases: readonly [string, Partial<PodLogOptions>, string][] = [
  ['everything', {}, three],
  ['the last two lines', { tailLines: 2 }, 'two\nthree\n'],
  ['no line', { tailLines: 0 }, ''],
  ['more lines than there are', { tailLines: 9 }, three],
  ['at most so many bytes', { limitBytes: 5 }, 'one\nt'],
  ['since a moment', { sinceMs: 1_500 }, 'two\nthree\n'],
  ['since before everything', { sinceMs: 500 }, three],
  [
    'with times',
    { timestamps: true, tailLines: 2 },
    '1970-01-01T00:00:02.000000000Z two\n1970-01-01T00:00:02.000000000Z three\n',
  ],
]
for (const [what, options, expected] of cases)
  test(what, async (t) =>
    assert.equal(await (await logsOf(t, three, marks)).read(options), expected),
  )

test('an unfinished last line counts as a line', async (t) => {
  const { read } = await logsOf(t, 'one\ntwo\nthr')
  assert.equal(await read({ tailLines: 2 }), 'two\nthr')
})

test('logs larger than a chunk come whole', async (t) => {
  const text = Array.from({ length: 30_000 }, (_, i) => `line ${i}\n`).join('')
  const { read } = await logsOf(t, text, `${text.length} 1000\n`)
  assert.equal(await read(), text)
  assert.equal(await read({ tailLines: 20_000 }), text.split('\n').slice(-20_001).join('\n'))
  const stamped = await read({ timestamps: true })
  assert.equal(stamped.replaceAll('1970-01-01T00:00:01.000000000Z ', ''), text)
})

test('following shows what is written until the container ends', async (t) => {
  const { logs, path, read } = await logsOf(t, 'one\n')
  await logs.opened(pod, 'c', 0)
  const followed = read({ follow: true })
  await appendFile(path, 'two\n')
  logs.closed(pod, 'c', 0)
  assert.equal(await followed, 'one\ntwo\n')
})

test('a follower that hangs up is let go', async (t) => {
  const { logs, read } = await logsOf(t, 'one\n')
  await logs.opened(pod, 'c', 0)
  const hangUp = new AbortController()
  const followed = read({ follow: true }, hangUp.signal)
  setImmediate(() => hangUp.abort())
  assert.match(await followed, /^(one\n)?$/)
})

test('without a log there is an error of the API', async (t) => {
  const { read } = await logsOf(t, '')
  await assert.rejects(read({ previous: true }), {
    name: 'StatusError',
    reason: 'BadRequest',
    message: 'previous terminated container "c" in pod "p" not found',
  })
})

test('the beginning of a large log is given back to the disk, at a line', async (t) => {
  const { logs, path, read } = await logsOf(t, '', '', 1 << 18)
  await logs.opened(pod, 'c', 0)
  const block = Array.from({ length: 8192 }, (_, i) => `${String(i).padStart(15, '0')}\n`).join('')
  for (let i = 0; i < 8; i++) {
    await appendFile(path, block)
    while (
      !(await readFile(`${path}.marks`, 'utf8').catch(() => '')).includes(
        `${block.length * (i + 1)} `,
      )
    );
  }
  const deadline = systemClock.monotonic() + 3_000
  while ((await stat(path)).blocks * 512 > 3 << 18 && systemClock.monotonic() < deadline)
    await new Promise((resolve) => setImmediate(resolve))
  assert.ok((await stat(path)).blocks * 512 <= 3 << 18)
  const left = await read()
  assert.match(left, /^(\d{15}\n)+$/)
  assert.ok(left.endsWith('000000000008191\n'))
})

test('a reader whose place is given back goes on at the next line there is', async (t) => {
  const { logs, path } = await logsOf(t, '', '', 1 << 18)
  await logs.opened(pod, 'c', 0)
  const block = Array.from({ length: 8192 }, (_, i) => `${String(i).padStart(16, '0')}\n`).join('')
  await appendFile(path, block) // lines that no chunk ends with
  const all = { follow: false, previous: false, timestamps: false }
  const chunks = logs.read(pod, 'c', all, new AbortController().signal)[Symbol.asyncIterator]()
  let out = Buffer.from((await chunks.next()).value ?? '').toString()
  for (let i = 0; i < 8; i++) await appendFile(path, block)
  while (!(await readFile(`${path}.marks`, 'utf8')).startsWith('start '));
  for (let next = await chunks.next(); !next.done; next = await chunks.next())
    out += Buffer.from(next.value).toString()
  const lines = out.trimEnd().split('\n')
  assert.ok(lines.every((line) => /^0\d{0,15}$/.test(line)))
  assert.ok(lines.filter((line) => line.length < 16).length <= 1, 'one line was cut')
  assert.ok(lines.length < 9 * 8192)
  assert.equal(lines.at(-1), '0000000000008191')
})

test('what came right before the end has its time', async (t) => {
  const { logs, path, read } = await logsOf(t, 'one\n')
  await logs.opened(pod, 'c', 0)
  await appendFile(path, 'two\n')
  const followed = read({ follow: true })
  logs.closed(pod, 'c', 0)
  await followed
  assert.match(await readFile(`${path}.marks`, 'utf8'), /^8 \d+$/m)
})

test('the end of a log is at most 2048 bytes and 80 lines', async (t) => {
  const { logs } = await logsOf(t, Array.from({ length: 100 }, (_, i) => `${i}\n`).join(''))
  assert.equal((await logs.tail(pod, 'c', 0)).split('\n')[0], '20')
  assert.equal(await logs.tail(pod, 'c', 7), '')
})
