/** ContainerSource of 2019: one container that is told its sink by an argument. */
import { conditionSet, conditionOf, finish } from '../../../../knative/conditions.ts'
import { fieldsOf, isFields, listOf, textOf } from '../../../../knative/old-form.ts'
import { createTracker } from '../../../../knative/tracker.ts'
import { Deployment } from '../../../../kube/api/deployment.ts'
import { keyOf, type KubeObject } from '../../../../kube/api/meta.ts'
import type { PodTemplateSpec } from '../../../../kube/api/pod-spec.ts'
import type { Reconciler } from '../../../../kube/controller/reconciler.ts'
import { destinationIn } from '../../../api/duck/destination.ts'
import { FormerContainerSource, type FormerSource } from '../../../api/former/former-sources.ts'
import {
  destinationKinds,
  isResolved,
  resolve,
  targetOf,
  type Resolution,
} from '../../destination/resolver.ts'
import { sinkNotFound, withSink } from '../sink.ts'
import { deploymentName, desiredDeployment } from './container-source.ts'

const conditions = conditionSet({ dependents: ['SinkProvided', 'Deployed'] })

interface World {
  readonly source: FormerSource
  readonly sink: Resolution
  readonly deployment: Deployment | undefined
}

export const formerContainerSourceReconciler = (): Reconciler<FormerSource, World> => {
  const tracker = createTracker()
  return {
    name: 'former-containersource-controller',
    kind: FormerContainerSource,
    watches: [
      ...destinationKinds.map((kind) => ({
        kind,
        wake: (changed: KubeObject) => tracker.observers(changed),
      })),
      { kind: Deployment, wake: 'owner' as const },
    ],
    customKinds: (changed) => tracker.observers(changed),

    observe(source, read) {
      const key = keyOf(source)
      const sink = destinationIn(source.spec.sink, key.namespace)
      tracker.track(key, targetOf(sink, key.namespace))
      const name = deploymentName(key.name)
      return {
        source,
        sink: resolve(sink ?? {}, key.namespace, read),
        deployment: read.get(Deployment, { ...key, name }),
      }
    },

    plan({ source, sink, deployment }, nowMs) {
      const { generation = 0 } = source.metadata
      const begun = conditions.begin(source.status ?? {}, generation, nowMs)
      let status = withSink(begun, sink, conditions, nowMs)
      const available = deployment?.status?.conditions?.find(({ type }) => type === 'Available')
      if (conditionOf(status, 'SinkProvided')?.status === 'True')
        status =
          available?.status === 'True'
            ? conditions.markTrue(status, 'Deployed', nowMs)
            : conditions.markUnknown(
                status,
                'Deployed',
                'DeploymentUnavailable',
                available?.message ?? 'the pod is not ready yet',
                nowMs,
              )
      return {
        ...(isResolved(sink) && {
          apply: [
            { kind: Deployment, desired: desiredDeployment(source, template(source, sink.url)) },
          ],
        }),
        status: finish(status, source.status, generation, nowMs),
        events: sinkNotFound(source.spec.sink, sink, source.status),
      }
    },

    gone(key) {
      tracker.forget(key)
      return {}
    },
  }
}

/** Its own template, or one around its image, with the sink as argument and variable of each container. */
export function template({ spec, metadata }: FormerSource, sink: string): PodTemplateSpec {
  const given = fieldsOf(spec['template'])
  const account = textOf(spec['serviceAccountName'])
  const single = {
    ...(account !== '' && { serviceAccountName: account }),
    containers: [
      {
        name: 'source',
        image: textOf(spec['image']),
        args: listOf(spec['args']),
        env: listOf(spec['env']),
      },
    ],
  }
  const pod = isFields(given['spec']) ? given['spec'] : single
  const containers = listOf(pod['containers']).map((each, i) => {
    const container = fieldsOf(each)
    const args = listOf(container['args']).map(String)
    const env = listOf(container['env'])
    const has = args.some((arg) => arg === '--sink' || arg.startsWith('--sink='))
    const set = (name: string) =>
      env.some((one) => fieldsOf(one)['name'] === name) ? [] : [{ name, value: sink }]
    return {
      ...container,
      name: textOf(container['name']) || `${metadata.name}-${i}`,
      args: has ? args : [...args, `--sink=${sink}`],
      env: [...env, ...set('SINK'), ...set('K_SINK')],
    }
  })
  return { ...given, spec: { ...pod, containers } } as PodTemplateSpec
}
