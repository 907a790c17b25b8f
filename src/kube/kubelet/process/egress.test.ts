import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { egress } from './egress.ts'

/** An iptables that keeps its rules in a file, as this machine may have none: -C, -I and -D, a line a rule. */
const fakeIptables = (file: string) => `#!/bin/sh
shift 2; table=$2; shift 2; action=$1; chain=$2; shift 2; rule="$table $chain $*"
touch ${file}
case $action in
-C) grep -qxF -e "$rule" ${file};;
-I) { echo "$rule"; cat ${file}; } > ${file}.new && mv ${file}.new ${file};;
-D) grep -qxF -e "$rule" ${file} || exit 1; grep -vxF -e "$rule" ${file} > ${file}.new; mv ${file}.new ${file};;
esac
`

const asRoot = process.getuid?.() === 0 && process.platform === 'linux'

test(
  'the way out is opened once however often it is asked for, and closed without a trace',
  { skip: !asRoot && 'takes root' },
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'ebb-egress-'))
    try {
      const iptables = join(folder, 'iptables')
      const rules = join(folder, 'rules')
      writeFileSync(iptables, fakeIptables(rules), { mode: 0o755 })
      const opened = egress({
        ip: 'ip',
        iptables,
        nft: undefined,
        bridge: 'ebb-test',
        network: '10.88.8.0/21',
        notes: join(folder, 'notes'),
      })
      assert.ok(opened)
      const [shell = '', flag = '', open = ''] = opened.open
      const switches =
        'cat /proc/sys/net/ipv4/conf/ebb-test/forwarding /proc/sys/net/ipv4/conf/out0/forwarding'
      const script = `set -e
OPEN=$1 CLOSE=$2
echo 0 > /proc/sys/net/ipv4/ip_forward # a machine with Docker has it on, and a new namespace takes that over
ip link add ebb-test type bridge; ip link add out0 type bridge; ip addr add 192.0.2.2/24 dev out0; ip link set out0 up
ip route add default via 192.0.2.1
for i in 1 2; do ${shell} ${flag} "$OPEN"; done
${switches}; sort ${rules}
ip link del ebb-test; ${shell} ${flag} "$CLOSE"
cat /proc/sys/net/ipv4/conf/out0/forwarding ${rules}; ls ${folder}`
      const output = execFileSync(
        'unshare',
        ['--net', 'sh', '-c', script, 'sh', open, opened.close],
        {
          encoding: 'utf8',
        },
      )
      assert.deepEqual(output.trim().split('\n'), [
        '1',
        '1',
        'filter FORWARD -i ebb-test -j ACCEPT',
        'filter FORWARD -o ebb-test ! -i ebb-test -j DROP',
        'filter FORWARD -o ebb-test -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
        'nat POSTROUTING -s 10.88.8.0/21 ! -o ebb-test -j MASQUERADE',
        '0',
        'iptables',
        'rules',
      ])
      assert.equal(readFileSync(rules, 'utf8'), '')
    } finally {
      rmSync(folder, { recursive: true })
    }
  },
)

test('without a tool there is none; nft is asked where there is no iptables', () => {
  const common = { ip: 'ip', bridge: 'ebb-test', network: '10.88.8.0/21' }
  assert.equal(egress({ ...common, iptables: undefined, nft: undefined }), undefined)
  const rules = egress({ ...common, iptables: undefined, nft: '/sbin/nft' })?.open.at(-1) ?? ''
  assert.match(rules, /ip saddr 10\.88\.8\.0\/21 oifname != "ebb-test" masquerade/)
})
