/**
 * What a Broker's `spec.config` says, and whether it can be had here (knative.dev/eventing `pkg/reconciler/broker`).
 * There is no channel behind a Broker; a configuration that is missing or asks for another kind of channel is told all
 * the same, as in Knative.
 */
import { ConfigMap } from '../../../kube/api/config-map.ts'
import type { Reader } from '../../../kube/controller/reconciler.ts'
import type { Target } from '../../../knative/tracker.ts'
import type { Broker } from '../../api/eventing/broker.ts'
import { channelTemplateIn } from '../../api/config/br-channel.ts'
import { noChannelKind, templateKind } from '../messaging/channel-kinds.ts'

/** Reason and message of the condition TriggerChannelReady. */
export type ConfigProblem = readonly [reason: string, message: string]

export function configTarget({ spec, metadata }: Broker): readonly Target[] {
  const { kind, name, namespace = metadata.namespace ?? '' } = spec.config ?? {}
  return kind === ConfigMap.kind && name ? [{ kind, namespace, name }] : []
}

/** Undefined = nothing is wrong. */
export function configProblem(
  broker: Broker,
  read: Pick<Reader, 'get'>,
): ConfigProblem | undefined {
  const failed = (why: string): ConfigProblem => [
    'ChannelTemplateFailed',
    `Error on setting up the ChannelTemplate: ${why}`,
  ]
  const { config } = broker.spec
  const { kind = '', name = '', namespace = broker.metadata.namespace ?? '' } = config ?? {}
  if (!config) return failed('Broker.Spec.Config is not set')
  if (kind !== ConfigMap.kind || name === '')
    return failed(
      `Broker.Spec.Config configuration not supported, only [kind: ConfigMap, apiVersion: v1] with a name: found kind ${kind}`,
    )
  const found = read.get(ConfigMap, { namespace, name })
  if (!found) return failed(`configmap "${name}" not found in namespace ${namespace}`)
  const template = channelTemplateIn(found)
  if ('problem' in template) return failed(template.problem)
  return templateKind(template) ? undefined : ['ChannelFailure', noChannelKind(template)]
}
