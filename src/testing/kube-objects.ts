/** Kubernetes objects that tests start from. */
import { rfc3339, type Clock } from '../lib/clock.ts'
import type { Deployment } from '../kube/api/deployment.ts'
import { Node } from '../kube/api/node.ts'
import { Pod } from '../kube/api/pod.ts'
import type { Client } from '../kube/client/client.ts'

/** A node that has not said yet what it has, so that every pod fits. */
export const aNode = (name: string): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name },
})

/** Makes a node that says what it has, as a kubelet would. */
export async function addNode(
  client: Client,
  name: string,
  room: Readonly<Record<string, string>> = {},
): Promise<Node> {
  const made = await client.create<Node>(Node, aNode(name))
  const allocatable = { cpu: '4', memory: '4Gi', pods: '110', ...room }
  return client.updateStatus<Node>(Node, { ...made, status: { ...made.status, allocatable } })
}

export const aDeployment = (
  name: string,
  replicas: number,
  spec: Partial<Deployment['spec']> = {},
): Deployment => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name, namespace: 'default' },
  spec: {
    replicas,
    selector: { matchLabels: { app: name } },
    template: {
      metadata: { labels: { app: name } },
      spec: { containers: [{ name: 'main', image: 'app:1' }] },
    },
    ...spec,
  },
})

/** Says what the kubelet would say of a pod that answers its probe. */
export async function becomeReady(
  client: Client,
  pod: Pod,
  clock: Clock,
  podIP = '10.0.0.1',
): Promise<Pod> {
  const time = rfc3339(clock.now())
  const conditions = [
    { type: 'Ready', status: 'True', lastTransitionTime: time },
    { type: 'PodScheduled', status: 'True', lastTransitionTime: time },
  ]
  const status = { phase: 'Running', podIP, podIPs: [{ ip: podIP }], conditions }
  return client.updateStatus<Pod>(Pod, { ...pod, status })
}
