import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import type { ContainerSpec, ImageHandle } from '../runtime.ts'
import { abilityOf, explainFailure, type Facts } from './abilities.ts'
import { capabilitiesOf, NoCapability } from './capabilities.ts'
import {
  groupCpuNanos,
  groupMemoryBytes,
  openCgroups,
  quotaMicros,
  sharesOf,
  weightOf,
} from './cgroups.ts'
import { resolveInside } from './inside.ts'
import { hasOwnRoot, wantsOwnRoot } from './own-root.ts'
import { candidatesOf, notStartedText } from './program.ts'
import { findUser, NoUser } from './users.ts'

const facts: Facts = {
  platform: 'linux',
  arch: 'x64',
  kernel: '6.1.0-18-amd64',
  uid: 1000,
  gid: 1000,
  maxUserNamespaces: '15000',
  lastCapability: 40,
}

test('what the machine lacks is named, with what switches it on', () => {
  assert.deepEqual(abilityOf({ ...facts, uid: 0 }).user, undefined)
  assert.deepEqual(abilityOf(facts).user, { uid: 1000, gid: 1000 })
  const refused = (more: Partial<Facts>, why: RegExp) =>
    assert.throws(() => abilityOf({ ...facts, ...more }), why)
  refused(
    { platform: 'darwin' },
    /takes Linux, this is darwin; run the platform with --runtime docker/,
  )
  refused({ arch: 'riscv64' }, /made for x86-64 and arm64, this is riscv64/)
  refused({ kernel: '5.4.0-generic' }, /takes Linux 5\.12 or later, this is 5\.4\.0-generic/)
  refused({ maxUserNamespaces: '0' }, /sysctl -w user\.max_user_namespaces=15000/)
  refused({ userNamespacesForAll: '0' }, /sysctl -w kernel\.unprivileged_userns_clone=1/)
  assert.doesNotThrow(
    () => abilityOf({ ...facts, uid: 0, maxUserNamespaces: '0' }),
    'root needs none',
  )
  const why = explainFailure({ ...facts, appArmorRestricts: '1' }, 'map its user', 1)
  assert.match(
    why,
    /could not map its user: operation not permitted; AppArmor .*apparmor_restrict_unprivileged_userns=0/,
  )
  assert.match(
    explainFailure(facts, 'make a user namespace', 28),
    /ordinary user \(1000\).* run it as root/,
  )
  assert.match(explainFailure({ ...facts, uid: 0 }, 'mount overlay at /', 19), /modprobe overlay/)
})

test('images have their own root unless they live on programs of the machine; the pod goes before', () => {
  const image = (labels?: Readonly<Record<string, string>>): ImageHandle => ({
    reference: 'x',
    imageID: 'x',
    rootfs: '/',
    config: {
      entrypoint: [],
      cmd: [],
      env: {},
      workingDir: '/',
      user: '',
      stopSignal: '',
      exposedPorts: [],
      ...(labels && { labels }),
    },
  })
  assert.ok(hasOwnRoot(image({})))
  assert.ok(!hasOwnRoot(image({ 'dev.ebb.runtime': 'node' })))
  assert.ok(hasOwnRoot(image({ 'dev.ebb.runtime': 'unheard of' })))
  const wants = (ownRoot: boolean | undefined, labels: Record<string, string>) =>
    wantsOwnRoot({
      image: image(labels),
      ...(ownRoot !== undefined && { ownRoot }),
    } as ContainerSpec)
  assert.ok(!wants(false, {}))
  assert.ok(wants(true, { 'dev.ebb.runtime': 'node' }))
})

test('capabilities: the list of Docker, what is added, what is dropped', () => {
  assert.equal(capabilitiesOf({}).length, 14)
  assert.deepEqual(
    capabilitiesOf({ dropCapabilities: ['ALL'], addCapabilities: ['CAP_NET_ADMIN', 'net_raw'] }),
    ['NET_ADMIN', 'NET_RAW'],
  )
  assert.ok(!capabilitiesOf({ dropCapabilities: ['MKNOD'] }).includes('MKNOD'))
  assert.equal(
    capabilitiesOf({ addCapabilities: ['ALL'], dropCapabilities: ['SYS_ADMIN'] }).length,
    40,
  )
  assert.throws(() => capabilitiesOf({ addCapabilities: ['FLY'] }), NoCapability)
})

test('users by name and number, in the image alone', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'ebb-users-'))
  t.after(() => rm(root, { recursive: true, force: true }))
  await mkdir(join(root, 'real'))
  await symlink('/real', join(root, 'etc'))
  await writeFile(
    join(root, 'real/passwd'),
    'root:x:0:0::/root:/bin/sh\n#no:x:1:1\nweb:x:33:34::/srv:/bin/sh\nbad:x:no:1\n',
  )
  await writeFile(join(root, 'real/group'), 'web:x:34:\nextra:x:44:web,root\n')
  const find = (image: string, more = {}) => {
    const { uid, gid, groups, home } = findUser(root, { image, ...more })
    return [uid, gid, groups, home]
  }
  assert.deepEqual(find(''), [0, 0, [0, 44], '/root'])
  assert.deepEqual(find('web'), [33, 34, [34, 44], '/srv'])
  assert.deepEqual(find('web:extra'), [33, 44, [44], '/srv'])
  assert.deepEqual(find('33'), [33, 34, [34, 44], '/srv'])
  assert.deepEqual(find('1234:5'), [1234, 5, [5], '/'])
  assert.deepEqual(find('web', { uid: 9, gid: 8, groups: [7, 7] }), [9, 8, [8, 7], '/'])
  assert.throws(() => find('nobody'), NoUser)
  assert.throws(() => find('bad'), NoUser)
  assert.throws(() => find('web:nobody'), /unable to find group nobody/)
  assert.throws(() => find('99999999999'), NoUser)
})

test('paths lead nowhere out of a root', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'ebb-inside-'))
  t.after(() => rm(root, { recursive: true, force: true }))
  for (const [name, target] of [
    ['up', '../../etc'],
    ['absolute', '/etc/passwd'],
    ['chain', 'up/x'],
    ['loop', 'loop'],
  ] as const)
    await symlink(target, join(root, name))
  const of = (path: string) => resolveInside(root, path)
  assert.deepEqual(
    [of('/up/x'), of('absolute'), of('/chain'), of('/../a/./b//')],
    ['/etc/x', '/etc/passwd', '/etc/x', '/a/b'],
  )
  assert.throws(() => of('/loop'), /too many levels of symbolic links/)
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom('..', '.', 'up', 'absolute', 'chain', 'a', '')),
      (parts) => {
        const found = of(parts.join('/'))
        return found.startsWith('/') && !found.split('/').includes('..')
      },
    ),
  )
})

test('programs: where they are looked for, what is said when there is none', () => {
  assert.deepEqual(candidatesOf('x', '/a:b::/c:/a'), ['/a/x', '/c/x'])
  assert.deepEqual(candidatesOf('./x', '/a'), ['./x'])
  assert.deepEqual(candidatesOf('', '/a'), [])
  assert.equal(notStartedText('x', 2), 'exec: "x": executable file not found in $PATH')
  assert.equal(notStartedText('/x', 13), 'exec: "/x": permission denied')
  assert.equal(notStartedText('/x', 8), 'exec: "/x": exec format error')
})

test('limits in both kinds of control groups', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'ebb-cgroups-'))
  t.after(() => rm(root, { recursive: true, force: true }))
  const text = (path: string) => readFile(join(root, path), 'utf8')
  const limits = { memoryLimitBytes: 1 << 20, cpuLimitMillis: 250, cpuRequestMillis: 100 }
  for (const controller of ['memory/own', 'cpu', 'pids'])
    await mkdir(join(root, 'one', controller), { recursive: true })
  const one = openCgroups('ebb-x', join(root, 'one'), '4:memory:/own\n2:cpu,cpuacct:/away\n0::/\n')
  const groups = one?.make('id', limits)
  assert.deepEqual(
    groups?.folders.map((folder) => folder.slice(root.length)),
    ['/one/memory/own/ebb-x/id', '/one/cpu/ebb-x/id', '/one/pids/ebb-x/id'],
  )
  assert.equal(await text('one/memory/own/ebb-x/id/memory.limit_in_bytes'), String(1 << 20))
  assert.equal(await text('one/cpu/ebb-x/id/cpu.cfs_quota_us'), '25000')
  assert.equal(await text('one/cpu/ebb-x/id/cpu.shares'), '102')

  await mkdir(join(root, 'two/ebb-x/id'), { recursive: true })
  for (const path of [
    'two/cgroup.controllers',
    ...['memory.max', 'cpu.max', 'cpu.weight', 'pids.max'].map((name) => `two/ebb-x/id/${name}`),
  ])
    await writeFile(join(root, path), '')
  const two = openCgroups('ebb-x', join(root, 'two'), '0::/own\n')
  assert.equal(two?.version, 2)
  const unified = two?.make('id', limits)
  assert.equal(await text('two/ebb-x/id/memory.max'), String(1 << 20))
  assert.equal(await text('two/ebb-x/id/cpu.max'), '25000 100000')
  assert.equal(await text('two/ebb-x/id/cpu.weight'), '4')
  await writeFile(join(root, 'two/ebb-x/id/memory.current'), '5000\n')
  await writeFile(join(root, 'two/ebb-x/id/memory.stat'), 'anon 1\ninactive_file 2000\n')
  await writeFile(join(root, 'two/ebb-x/id/cpu.stat'), 'usage_usec 7\n')
  assert.equal(groupMemoryBytes(unified?.folders ?? []), 3000)
  assert.equal(groupCpuNanos(unified?.folders ?? []), 7000)
  assert.equal(openCgroups('ebb-x', join(root, 'none'), ''), undefined)
  assert.deepEqual(
    [quotaMicros(1), sharesOf(0), weightOf(2), weightOf(262_144)],
    [1000, 2, 1, 10_000],
  )
})
