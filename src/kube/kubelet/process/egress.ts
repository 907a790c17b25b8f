/**
 * The way out for pods that have network namespaces: their packets leave with the machine's own address. Only what comes
 * from our bridge is forwarded, only answers come back, and everything is taken away again at the end. The tools are
 * those of the machine: iptables where there is one, because the firewalls of container engines speak it, else nft.
 */

export interface EgressOptions {
  /** Paths of programs; without iptables and nft there is no way out. */
  readonly ip: string
  readonly iptables: string | undefined
  readonly nft: string | undefined
  readonly bridge: string
  /** The pods' network, `10.88.8.0/21`. */
  readonly network: string
  /** Where devices whose forwarding we switched on are noted. */
  readonly notes?: string
}

export interface Egress {
  /** Command lines; each may run again at any time. */
  readonly open: readonly string[]
  readonly close: string
}

/** Undefined when the machine has neither tool. */
export function egress(options: EgressOptions): Egress | undefined {
  const { iptables, nft } = options
  const rules = iptables ? withIptables(iptables, options) : nft ? withNft(nft, options) : undefined
  return (
    rules && {
      open: ['/bin/sh', '-c', `set -e\n${rules.open}\n${forward(options)}`],
      close: `${rules.close}\n${unforward(options)}`,
    }
  )
}

interface Rules {
  readonly open: string
  readonly close: string
}

function withIptables(iptables: string, { bridge, network }: EgressOptions): Rules {
  // Inserted at the top one by one: the last is looked at first.
  const rules = [
    `nat POSTROUTING -s ${network} ! -o ${bridge} -j MASQUERADE`,
    `filter FORWARD -o ${bridge} ! -i ${bridge} -j DROP`,
    `filter FORWARD -o ${bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT`,
    `filter FORWARD -i ${bridge} -j ACCEPT`,
  ].map((rule) => rule.split(' '))
  const call = (action: string, [table = '', ...rest]: readonly string[]) =>
    `${iptables} -w 5 -t ${table} ${action} ${rest.join(' ')}`
  return {
    open: rules.map((rule) => `${call('-C', rule)} 2>/dev/null || ${call('-I', rule)}`).join('\n'),
    close: rules.map((rule) => `${call('-D', rule)} 2>/dev/null`).join('\n'),
  }
}

function withNft(nft: string, { bridge, network }: EgressOptions): Rules {
  const table = `ip ${bridge.replaceAll('-', '_')}`
  return {
    open: `${nft} -f - <<'RULES'
add table ${table}
delete table ${table}
table ${table} {
  chain forward {
    type filter hook forward priority 0; policy accept;
    oifname "${bridge}" ct state established,related accept
    oifname "${bridge}" iifname != "${bridge}" drop
  }
  chain out {
    type nat hook postrouting priority 100; policy accept;
    ip saddr ${network} oifname != "${bridge}" masquerade
  }
}
RULES`,
    close: `${nft} delete table ${table} 2>/dev/null`,
  }
}

const forwarding = '/proc/sys/net/ipv4'
const notesOf = ({ notes = '/run/ebb-forwarding' }: EgressOptions): string => notes

/** Where the machine is no router yet, it becomes one between the bridge and the devices of its default routes. */
const forward = (options: EgressOptions): string => `
[ "$(cat ${forwarding}/ip_forward)" = 1 ] && exit 0
for device in ${options.bridge} $(${options.ip} -4 route show default | sed -n 's/.* dev \\([^ ]*\\).*/\\1/p' | sort -u); do
  switch=${forwarding}/conf/$device/forwarding
  [ "$(cat $switch)" = 1 ] && continue
  if [ $device != ${options.bridge} ]; then mkdir -p ${notesOf(options)}; : > ${notesOf(options)}/$device; fi
  echo 1 > $switch
done`

/** The last platform on the machine switches off what the first switched on. */
const unforward = (options: EgressOptions): string => `
if ! ${options.ip} -o link show type bridge | grep -v ' ${options.bridge}:' | grep -q ' ebb-' && [ -d ${notesOf(options)} ]; then
  for device in $(ls ${notesOf(options)}); do echo 0 > ${forwarding}/conf/$device/forwarding; done
  rm -r ${notesOf(options)}
fi`
