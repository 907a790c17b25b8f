/** config-features: what users may do beyond the plain. */
import { defineConfig, type Config } from '../../../knative/config-map.ts'
import type { ConfigData } from '../../../knative/config-values.ts'

/** Allowed: a user may switch it on; Enabled: it is on. For most pod fields both simply permit the field. */
export type Feature = 'Enabled' | 'Allowed' | 'Disabled'
export type SecurePodDefaults = 'Enabled' | 'AllowRootBounded' | 'Disabled'

const keys = {
  multiContainer: ['multi-container', 'Enabled'],
  multiContainerProbing: ['multi-container-probing', 'Disabled'],
  podSpecAffinity: ['kubernetes.podspec-affinity', 'Disabled'],
  podSpecTopologySpreadConstraints: ['kubernetes.podspec-topologyspreadconstraints', 'Disabled'],
  podSpecHostAliases: ['kubernetes.podspec-hostaliases', 'Disabled'],
  podSpecNodeSelector: ['kubernetes.podspec-nodeselector', 'Disabled'],
  podSpecTolerations: ['kubernetes.podspec-tolerations', 'Disabled'],
  podSpecRuntimeClassName: ['kubernetes.podspec-runtimeclassname', 'Disabled'],
  podSpecSecurityContext: ['kubernetes.podspec-securitycontext', 'Disabled'],
  podSpecShareProcessNamespace: ['kubernetes.podspec-shareprocessnamespace', 'Disabled'],
  podSpecHostIPC: ['kubernetes.podspec-hostipc', 'Disabled'],
  podSpecHostPID: ['kubernetes.podspec-hostpid', 'Disabled'],
  podSpecHostNetwork: ['kubernetes.podspec-hostnetwork', 'Disabled'],
  podSpecPriorityClassName: ['kubernetes.podspec-priorityclassname', 'Disabled'],
  podSpecSchedulerName: ['kubernetes.podspec-schedulername', 'Disabled'],
  podSpecDNSPolicy: ['kubernetes.podspec-dnspolicy', 'Disabled'],
  podSpecDNSConfig: ['kubernetes.podspec-dnsconfig', 'Disabled'],
  podSpecInitContainers: ['kubernetes.podspec-init-containers', 'Disabled'],
  podSpecFieldRef: ['kubernetes.podspec-fieldref', 'Disabled'],
  containerSpecAddCapabilities: ['kubernetes.containerspec-addcapabilities', 'Disabled'],
  podSpecVolumesEmptyDir: ['kubernetes.podspec-volumes-emptydir', 'Enabled'],
  podSpecVolumesHostPath: ['kubernetes.podspec-volumes-hostpath', 'Disabled'],
  podSpecVolumesCSI: ['kubernetes.podspec-volumes-csi', 'Disabled'],
  podSpecVolumesEphemeral: ['kubernetes.podspec-volumes-ephemeral', 'Disabled'],
  podSpecVolumesImage: ['kubernetes.podspec-volumes-image', 'Disabled'],
  podSpecVolumesMountPropagation: ['kubernetes.podspec-volumes-mount-propagation', 'Disabled'],
  podSpecPersistentVolumeClaim: ['kubernetes.podspec-persistent-volume-claim', 'Disabled'],
  podSpecPersistentVolumeWrite: ['kubernetes.podspec-persistent-volume-write', 'Disabled'],
  tagHeaderBasedRouting: ['tag-header-based-routing', 'Disabled'],
  autodetectHttp2: ['autodetect-http2', 'Disabled'],
  queueProxyMountPodInfo: ['queueproxy.mount-podinfo', 'Disabled'],
  queueProxyResourceDefaults: ['queueproxy.resource-defaults', 'Disabled'],
} as const satisfies Record<string, readonly [key: string, fallback: Feature]>

type Flags = { readonly [F in keyof typeof keys]: Feature }

export interface FeaturesConfig extends Flags {
  readonly securePodDefaults: SecurePodDefaults
}

/** The value in its usual case; any other word counts as not said. */
function oneOf<W extends string>(
  data: ConfigData,
  key: string,
  fallback: W,
  words: readonly W[],
): W {
  const text = data[key]?.toLowerCase()
  return words.find((word) => word.toLowerCase() === text) ?? fallback
}

export const configFeatures: Config<FeaturesConfig> = defineConfig({
  name: 'config-features',
  component: 'controller',
  parse(data) {
    const flags = Object.fromEntries(
      Object.entries(keys).map(([name, [key, fallback]]): [string, Feature] => [
        name,
        oneOf<Feature>(data, key, fallback, ['Enabled', 'Allowed', 'Disabled']),
      ]),
    ) as Flags
    return {
      ...flags,
      securePodDefaults: oneOf<SecurePodDefaults>(data, 'secure-pod-defaults', 'Disabled', [
        'Enabled',
        'AllowRootBounded',
        'Disabled',
      ]),
    }
  },
  example: `
# Each feature is "enabled", "allowed" (who asks for it gets it) or "disabled".
# The values here are the defaults. Copy a line to the top level of the
# ConfigMap, directly below "data", to make it count.

# More than one container in a Service.
multi-container: "enabled"

# Probes on containers that do not get the requests.
multi-container-probing: "disabled"

# Fields of the pod that may be set.
${Object.values(keys)
  .filter(([key]) => key.startsWith('kubernetes.'))
  .map(([key, fallback]) => `${key}: "${fallback.toLowerCase()}"`)
  .join('\n')}

# Fill in a safe securityContext: "enabled", "allowrootbounded" or "disabled".
secure-pod-defaults: "disabled"

# Choose the tag by the request header Knative-Serving-Tag.
tag-header-based-routing: "disabled"

# Find out whether the program speaks HTTP/2.
autodetect-http2: "disabled"

# Give the request proxy the pod's annotations.
queueproxy.mount-podinfo: "disabled"

# Give the request proxy default resources.
queueproxy.resource-defaults: "disabled"
`,
})
