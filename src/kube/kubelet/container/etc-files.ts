/**
 * The files below /etc by which a pod's programs know names: hosts, hostname and resolv.conf, made from the pod's spec
 * and mounted into each container as the kubelet does.
 */
import { readFileSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Pod } from '../../api/pod.ts'
import type { ContainerMount } from '../runtime.ts'

export interface Names {
  readonly podIP: string
  /** Address of the DNS server for pods; absent = the machine's own are named. */
  readonly clusterDNS?: string
}

export const clusterDomain = 'cluster.local'
const longestHostname = 63

/** What the pod's programs read as their machine's name. */
export const hostnameOf = ({ metadata, spec }: Pod): string =>
  spec.hostname || metadata.name.slice(0, longestHostname).replace(/[-.]+$/, '')

/** Writes the files below `folder` and answers where they belong. */
export async function etcMounts(
  pod: Pod,
  folder: string,
  names: Names,
): Promise<readonly ContainerMount[]> {
  const { hostAliases, subdomain, dnsConfig, dnsPolicy } = pod.spec
  const resolv = resolvConf(pod, names)
  const files = [
    {
      name: 'hosts',
      text: hostsText(pod, names.podIP),
      asked: Boolean(hostAliases?.length || subdomain),
    },
    { name: 'hostname', text: `${hostnameOf(pod)}\n`, asked: false },
    ...(resolv === undefined
      ? []
      : [{ name: 'resolv.conf', text: resolv, asked: Boolean(dnsConfig || dnsPolicy === 'None') }]),
  ]
  await mkdir(folder, { recursive: true, mode: 0o755 })
  return await Promise.all(
    files.map(async ({ name, text, asked }) => {
      const hostPath = join(folder, name)
      // In place: what is mounted is the file, not its name.
      if ((await readFile(hostPath, 'utf8').catch(() => '')) !== text)
        await writeFile(hostPath, text, { mode: 0o644 })
      return {
        path: `/etc/${name}`,
        hostPath,
        readOnly: false,
        ...(!asked && { implied: true }),
      }
    }),
  )
}

/** True when the pod itself says something that these files are needed for. */
export const asksForNames = ({ spec }: Pod): boolean =>
  Boolean(spec.hostAliases?.length || spec.dnsConfig || spec.dnsPolicy === 'None')

export function hostsText(pod: Pod, podIP: string): string {
  const hostname = hostnameOf(pod)
  const { subdomain, hostAliases = [] } = pod.spec
  const full = subdomain
    ? `${hostname}.${subdomain}.${pod.metadata.namespace ?? ''}.svc.${clusterDomain}\t`
    : ''
  const lines = [
    '# Kubernetes-managed hosts file.',
    '127.0.0.1\tlocalhost',
    '::1\tlocalhost ip6-localhost ip6-loopback',
    'fe00::0\tip6-localnet',
    'fe00::0\tip6-mcastprefix',
    'fe00::1\tip6-allnodes',
    'fe00::2\tip6-allrouters',
    `${podIP}\t${full}${hostname}`,
  ]
  if (hostAliases.length > 0) lines.push('', '# Entries added by HostAliases.')
  for (const { ip, hostnames = [] } of hostAliases) lines.push([ip, ...hostnames].join('\t'))
  return `${lines.join('\n')}\n`
}

const maxNameservers = 3

/** Undefined where the runtime's own file serves as well. */
export function resolvConf(
  { metadata, spec }: Pod,
  { clusterDNS }: Names,
  host: () => string = hostResolvConf,
): string | undefined {
  const { dnsPolicy = 'ClusterFirst', dnsConfig } = spec
  const ofCluster =
    dnsPolicy === 'ClusterFirstWithHostNet' || (dnsPolicy === 'ClusterFirst' && !spec.hostNetwork)
  if (!dnsConfig && dnsPolicy !== 'None' && !(ofCluster && clusterDNS)) return undefined
  const base = dnsPolicy === 'None' ? noNames : parsed(host())
  const namespace = metadata.namespace ?? ''
  const first: Resolver = ofCluster
    ? {
        nameservers: clusterDNS ? [clusterDNS] : base.nameservers,
        searches: [
          `${namespace}.svc.${clusterDomain}`,
          `svc.${clusterDomain}`,
          clusterDomain,
          ...base.searches,
        ],
        options: ['ndots:5'],
      }
    : base
  const nameservers = [...first.nameservers, ...(dnsConfig?.nameservers ?? [])]
  const searches = [...first.searches, ...(dnsConfig?.searches ?? [])]
  const options = new Map(first.options.map((option) => [option.split(':')[0] ?? '', option]))
  for (const { name = '', value } of dnsConfig?.options ?? [])
    options.set(name, value === undefined ? name : `${name}:${value}`)
  const lines = [
    ...(searches.length > 0 ? [`search ${[...new Set(searches)].join(' ')}`] : []),
    ...[...new Set(nameservers)].slice(0, maxNameservers).map((server) => `nameserver ${server}`),
    ...(options.size > 0 ? [`options ${[...options.values()].join(' ')}`] : []),
  ]
  return `${lines.join('\n')}\n`
}

interface Resolver {
  readonly nameservers: readonly string[]
  readonly searches: readonly string[]
  readonly options: readonly string[]
}

const noNames: Resolver = { nameservers: [], searches: [], options: [] }

function parsed(text: string): Resolver {
  const words = (keyword: string) =>
    text
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter(([first]) => first === keyword)
  return {
    nameservers: words('nameserver').flatMap(([, server]) => (server ? [server] : [])),
    searches: words('search').at(-1)?.slice(1) ?? [],
    options: words('options').flatMap(([, ...rest]) => rest),
  }
}

/** The machine's own; where that names a resolver on its loopback, what that one asks. */
export function hostResolvConf(): string {
  const own = readQuietly('/etc/resolv.conf')
  if (!/^nameserver\s+127\./m.test(own)) return own
  return readQuietly('/run/systemd/resolve/resolv.conf') || own
}

function readQuietly(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
