/** Where a pod's ports are reached from this machine: what the gateway has as backends of it. */
import type { Pod } from '../../kube/api/pod.ts'
import type { Address } from '../config.ts'

/** Container ports, translated where pods share the machine's network (annotation `ebb.dev/host-ports`). */
export function podAddresses(pod: Pod): readonly Address[] {
  const host = pod.status?.podIP
  if (!host) return []
  const translated = hostPorts(pod)
  const ports = pod.spec?.containers.flatMap(({ ports = [] }) =>
    ports.map((port) => port.containerPort),
  )
  return (ports ?? []).map((port) => ({ host, port: translated[port] ?? port }))
}

function hostPorts(pod: Pod): Readonly<Record<number, number>> {
  const text = pod.metadata.annotations?.['ebb.dev/host-ports']
  return text ? (JSON.parse(text) as Record<number, number>) : {}
}
