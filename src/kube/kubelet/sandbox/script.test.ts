import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { arch, platform, tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { reportIn } from '../launcher/kept.ts'
import { capabilityNumber } from './capabilities.ts'
import { initProgram, type Machine } from './init-program.ts'
import { argv, environment, failure, Label, Script } from './script.ts'
import { seccompFilter } from './seccomp.ts'

const emulator = '/usr/bin/qemu-aarch64-static'

/** How the machine's programs run here; undefined = not at all. */
function runner(machine: Machine): readonly string[] | undefined {
  if (platform() !== 'linux') return undefined
  if (machine === arch()) return []
  return machine === 'arm64' && existsSync(emulator) ? [emulator] : undefined
}

async function run(t: TestContext, machine: Machine, script: Script, args: readonly string[] = []) {
  const folder = await mkdtemp(join(tmpdir(), 'ebb-script-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const [init, path] = [join(folder, 'init'), join(folder, 'script')]
  await writeFile(init, initProgram(machine))
  await chmod(init, 0o755)
  await writeFile(path, script.bytes())
  const [first = init, ...rest] = [...(runner(machine) ?? []), init, path, ...args]
  const result = spawnSync(first, rest, { env: { A: '1' }, stdio: ['ignore', 'pipe', 'pipe'] })
  return { ...result, text: result.stdout.toString() }
}

for (const machine of ['x64', 'arm64'] as const) {
  const skip = runner(machine) === undefined && 'programs of that machine do not run here'

  test(`${machine}: steps, results, branches, and what comes from outside`, { skip }, async (t) => {
    const script = new Script(machine)
    const pipe = script.room(8)
    const count = script.room(8)
    const word = script.room(64)
    const failed = new Label()
    const again = new Label()
    const done = new Label()
    const left = script.data(Buffer.from([3, 0, 0, 0, 0, 0, 0, 0]))
    script.onFailure(failed)
    script.call('make a pipe', 'pipe2', [{ at: pipe }, 0])
    script.call('fill it', 'write', [{ in: pipe, plus: 4 }, { at: script.text('abc') }, 3])
    script.call('read it', 'read', [{ in: pipe }, { at: word }, 64], { to: count })
    script.place(again)
    script.call('say it', 'write', [1, { at: word }, { in: count }])
    script.add({ in: left }, -1, { to: left, onZero: done })
    script.jump(again)
    script.place(done)
    script.call('close nothing', 'close', [999], { allow: 9 })
    script.call('be told', 'close', [999])
    script.call('never', 'exit_group', [1])
    script.place(failed)
    const shell = script.text('/bin/sh')
    const variables = script.room(8)
    script.add({ in: environment }, 0, { to: variables })
    script.call('report', 'write', [2, { at: failure }, 16])
    if (machine === arch())
      script.call('go on', 'execve', [{ at: shell }, { in: argv }, { in: variables }])
    script.call('end', 'exit_group', [7])
    const { text, stderr, status } = await run(t, machine, script, [
      'sh',
      '-c',
      'echo " $A $0"; exit 7',
      'x',
    ])
    assert.equal(text, machine === arch() ? 'abcabcabc 1 x\n' : 'abcabcabc')
    assert.equal(status, 7)
    const report = reportIn(stderr)
    assert.equal(report.failed?.error, 9)
    assert.equal(script.whatAt(report.failed?.address ?? 0), 'be told')
  })

  test(`${machine}: the default filter refuses what it names, and lets the rest pass`, () => {
    const answer = filterOf(machine, [])
    const [mount, clone, clone3, read, uring] =
      machine === 'x64' ? [165, 56, 435, 0, 425] : [40, 220, 435, 63, 425]
    const eperm = 0x50001
    const enosys = 0x50026
    const pass = 0x7fff0000
    assert.equal(answer(read), pass)
    assert.equal(answer(mount), eperm)
    assert.equal(answer(uring), eperm)
    assert.equal(answer(clone, 17), pass)
    assert.equal(answer(clone, 0x10000000 | 17), eperm)
    assert.equal(answer(clone3), enosys)
    assert.equal(answer(467), enosys, 'newer than the list')
    assert.equal(answer(read, 0, 0x40000003), enosys, '32-bit programs')
    const [personality, socket] = machine === 'x64' ? [135, 41] : [92, 198]
    assert.deepEqual(
      [answer(personality, 0xffffffff), answer(personality, 8), answer(personality, 1)],
      [pass, pass, eperm],
    )
    assert.deepEqual([answer(socket, 2), answer(socket, 40)], [pass, eperm])
    const admin = filterOf(machine, ['SYS_ADMIN'])
    assert.deepEqual(
      [admin(mount), admin(clone, 0x10000000), admin(clone3), admin(uring)],
      [pass, pass, pass, eperm],
    )
    const chown = machine === 'x64' ? 92 : 55
    assert.deepEqual(
      [answer(chown), filterOf(machine, [], true)(chown)],
      [pass, 0x50000],
      'one user: pretended',
    )
  })
}

/** What the kernel would make of the filter: an interpreter of the few operations there are. */
function filterOf(machine: Machine, capabilities: readonly string[], oneUser = false) {
  const code = Buffer.from(seccompFilter(machine, capabilities.map(capabilityNumber), oneUser))
  return (
    call: number,
    argument = 0,
    machineNumber = machine === 'x64' ? 0xc000003e : 0xc00000b7,
  ): number => {
    let loaded = 0
    for (let at = 0; ; at++) {
      const operation = code.readUInt16LE(at * 8)
      const value = code.readUInt32LE(at * 8 + 4)
      const jump = (yes: boolean) => (at += code[at * 8 + (yes ? 2 : 3)] ?? 0)
      if (operation === 0x06) return value
      if (operation === 0x20) loaded = value === 0 ? call : value === 4 ? machineNumber : argument
      else if (operation === 0x15) jump(loaded === value)
      else if (operation === 0x35) jump(loaded >= value)
      else if (operation === 0x45) jump((loaded & value) !== 0)
      else throw new Error(`operation ${operation}`)
    }
  }
}

test('a script that leads nowhere, is too large, or has a NUL in a text is refused', () => {
  const nowhere = new Script('x64')
  nowhere.jump(new Label())
  assert.throws(() => nowhere.bytes(), /leads nowhere/)
  const large = new Script('x64')
  large.room(2 << 20)
  assert.throws(() => large.bytes(), /at most 1048576 can be had/)
  assert.throws(() => large.text('a\0b'), /has a NUL byte/)
})
