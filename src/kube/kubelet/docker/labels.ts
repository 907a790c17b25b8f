/** Labels and names of what is ours in an engine: by them it is found again after a crash, and nothing else is touched. */
import type { ContainerSpec, SandboxSpec } from '../runtime.ts'

export const label = {
  /** Which data directory it belongs to. */
  platform: 'ebb.dev/platform',
  /** `holder` or `container`. */
  role: 'ebb.dev/role',
  podUid: 'ebb.dev/pod-uid',
  pod: 'ebb.dev/pod',
  /** On a holder: how its pod is reached, as another control plane may find other ways. */
  reach: 'ebb.dev/reach',
  container: 'ebb.dev/container',
  attempt: 'ebb.dev/attempt',
  logPath: 'ebb.dev/log-path',
} as const

export const ofPlatform = (platform: string): string => `${label.platform}=${platform}`
export const ofPod = (podUid: string): string => `${label.podUid}=${podUid}`

export const holderLabels = (
  platform: string,
  { podUid, namespace, name }: SandboxSpec,
  reach: string,
): Readonly<Record<string, string>> => ({
  [label.platform]: platform,
  [label.role]: 'holder',
  [label.podUid]: podUid,
  [label.pod]: `${namespace}/${name}`,
  [label.reach]: reach,
})

export const containerLabels = (
  platform: string,
  { podUid, namespace, podName, container, attempt, logPath }: ContainerSpec,
): Readonly<Record<string, string>> => ({
  [label.platform]: platform,
  [label.role]: 'container',
  [label.podUid]: podUid,
  [label.pod]: `${namespace}/${podName}`,
  [label.container]: container,
  [label.attempt]: String(attempt),
  [label.logPath]: logPath,
})

/** For people who look at `docker ps`; one of a kind, as a pod's uid is. */
export const holderName = (platform: string, { podUid, namespace, name }: SandboxSpec): string =>
  `ebb_${platform}_${namespace}_${name}_${podUid}`

export const containerName = (platform: string, spec: ContainerSpec): string =>
  `${holderName(platform, { ...spec, name: spec.podName, ports: [] })}_${spec.container}_${spec.attempt}`

/** Where images of ours are. */
export const repositoryOf = (platform: string): string => `ebb.local/${platform}`

export const networkName = (platform: string): string => `ebb-${platform}`
