/**
 * What the engine is told to create (Engine API, ContainerCreate): a pod's holder, and its containers, which share the
 * holder's network and IPC. Pure.
 */
import type {
  ContainerResources,
  ContainerSecurity,
  ContainerSpec,
  SandboxSpec,
} from '../runtime.ts'
import { containerLabels, holderLabels } from './labels.ts'

/** The pod wants what this platform does not grant; shown as the reason why its container does not start. */
export class NotAllowed extends Error {
  override readonly name = 'NotAllowed'
}

type Body = Readonly<Record<string, unknown>>

/** Our own copy of a log is the one that is read: the engine's is only to bridge a restart of the control plane. */
const logConfig = { Type: 'json-file', Config: { 'max-size': '20m', 'max-file': '2' } }
/** Waits, and does nothing else. */
const holderLimits = { Memory: 32 << 20, PidsLimit: 8 }
const holderSecurity = {
  CapDrop: ['ALL'],
  SecurityOpt: ['no-new-privileges'],
  ReadonlyRootfs: true,
}

export function holderBody(
  spec: SandboxSpec,
  {
    image,
    platform,
    network,
    reach,
    hostPorts,
  }: {
    readonly image: string
    readonly platform: string
    readonly network: string
    /** For whoever finds it. */
    readonly reach: string
    /** Ports of this machine's loopback by those of the pod, where it is not reached at an address of its own. */
    readonly hostPorts: Readonly<Record<number, number>>
  },
): Body {
  const ports = Object.entries(hostPorts)
  return {
    Image: image,
    Hostname: spec.hostname ?? spec.name.slice(0, 63).replace(/-+$/, ''),
    Labels: holderLabels(platform, spec, reach),
    ExposedPorts: Object.fromEntries(ports.map(([port]) => [`${port}/tcp`, {}])),
    HostConfig: {
      ...holderLimits,
      ...holderSecurity,
      NetworkMode: network,
      IpcMode: 'shareable',
      LogConfig: logConfig,
      PortBindings: Object.fromEntries(
        ports.map(([port, hostPort]) => [
          `${port}/tcp`,
          [{ HostIp: '127.0.0.1', HostPort: String(hostPort) }],
        ]),
      ),
    },
  }
}

/** Throws NotAllowed. */
export function containerBody(
  spec: ContainerSpec,
  {
    image,
    platform,
    holderId,
    beside,
    allowPrivileged,
  }: {
    readonly image: string
    readonly platform: string
    readonly holderId: string
    /** Container whose processes it sees, where it is to see others'. */
    readonly beside?: string
    readonly allowPrivileged: boolean
  },
): Body {
  const { security = {}, resources = {} } = spec
  if (security.privileged && !allowPrivileged)
    throw new NotAllowed(
      'privileged containers are refused here; start the platform with --allow-privileged to allow them',
    )
  return {
    Image: image,
    Entrypoint: spec.command,
    Cmd: [],
    WorkingDir: spec.workingDir,
    Env: Object.entries(spec.env).map(([name, value]) => `${name}=${value}`),
    ...(spec.stdin && { OpenStdin: true, StdinOnce: spec.stdin === 'once' }),
    ...(spec.tty && { Tty: true }),
    ...userOf(security),
    Labels: containerLabels(platform, spec),
    // The pod's probes decide; an image's own would only cost.
    Healthcheck: { Test: ['NONE'] },
    HostConfig: {
      NetworkMode: `container:${holderId}`,
      IpcMode: `container:${holderId}`,
      ...(beside !== undefined && { PidMode: `container:${beside}` }),
      LogConfig: logConfig,
      Mounts: spec.mounts.map(({ path, hostPath, readOnly }) => ({
        Type: 'bind',
        Source: hostPath,
        Target: path,
        ReadOnly: readOnly,
      })),
      ...limitsOf(resources),
      ...privilegesOf(security),
    },
  }
}

/** Who it runs as, where the pod says so; else the image decides, which may name its user. */
function userOf({ runAsUser, runAsGroup }: ContainerSecurity): Body {
  if (runAsUser === undefined && runAsGroup === undefined) return {}
  return { User: runAsGroup === undefined ? `${runAsUser}` : `${runAsUser ?? 0}:${runAsGroup}` }
}

function limitsOf({
  memoryLimitBytes,
  cpuLimitMillis,
  cpuRequestMillis,
}: ContainerResources): Body {
  return {
    // As much with swap as without: it may not use any.
    ...(memoryLimitBytes && { Memory: memoryLimitBytes, MemorySwap: memoryLimitBytes }),
    ...(cpuLimitMillis && { NanoCpus: cpuLimitMillis * 1_000_000 }),
    // Kubernetes' scale: 1024 shares a core, at least 2.
    ...(cpuRequestMillis !== undefined && {
      CpuShares: Math.max(2, Math.floor((cpuRequestMillis * 1024) / 1000)),
    }),
  }
}

function privilegesOf(security: ContainerSecurity): Body {
  const options = [
    ...(security.allowPrivilegeEscalation === false ? ['no-new-privileges'] : []),
    ...(security.seccomp?.type === 'Unconfined' ? ['seccomp=unconfined'] : []),
  ]
  if (security.seccomp?.type === 'Localhost')
    throw new NotAllowed(
      'seccomp profiles of type Localhost are not supported here; use RuntimeDefault or Unconfined',
    )
  return {
    Privileged: security.privileged ?? false,
    ReadonlyRootfs: security.readOnlyRootFilesystem ?? false,
    ...(security.groups && { GroupAdd: security.groups.map(String) }),
    ...(security.addCapabilities && { CapAdd: security.addCapabilities }),
    ...(security.dropCapabilities && { CapDrop: security.dropCapabilities }),
    ...(options.length > 0 && { SecurityOpt: options }),
  }
}
