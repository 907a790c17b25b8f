/**
 * ContainerSource: a Deployment of the user's pods, and a SinkBinding that tells them the sink (knative.dev/eventing
 * `pkg/reconciler/containersource`).
 */
import { childName } from '../../../../knative/child-name.ts'
import { conditionOf, finish, isObserved } from '../../../../knative/conditions.ts'
import { Deployment } from '../../../../kube/api/deployment.ts'
import type { Kind } from '../../../../kube/api/kind.ts'
import { controllerRef, isControlledBy, keyOf } from '../../../../kube/api/meta.ts'
import type { PodTemplateSpec } from '../../../../kube/api/pod-spec.ts'
import type { Apply, PlannedEvent, Reconciler } from '../../../../kube/controller/reconciler.ts'
import {
  ContainerSource,
  containerSourceConditions as conditions,
} from '../../../api/sources/container-source.ts'
import { SinkBinding } from '../../../api/sources/sink-binding.ts'
import type { SourceStatus } from '../../../api/duck/source-spec.ts'

export interface World {
  readonly source: ContainerSource
  readonly deployment: Deployment | undefined
  readonly binding: SinkBinding | undefined
}

export const deploymentName = (source: string): string => childName(source, '-deployment')
export const bindingName = (source: string): string => childName(source, '-sinkbinding')

export const containerSourceReconciler: Reconciler<ContainerSource, World> = {
  name: 'containersource-controller',
  kind: ContainerSource,
  watches: [
    { kind: Deployment, wake: 'owner' },
    { kind: SinkBinding, wake: 'owner' },
  ],

  observe(source, read) {
    const { namespace, name } = keyOf(source)
    return {
      source,
      deployment: read.get(Deployment, { namespace, name: deploymentName(name) }),
      binding: read.get(SinkBinding, { namespace, name: bindingName(name) }),
    }
  },

  plan({ source, deployment, binding }, nowMs) {
    const { generation = 0 } = source.metadata
    let status: SourceStatus = conditions.begin(source.status ?? {}, generation, nowMs)
    const {
      sinkUri: _uri,
      sinkCACerts: _certificates,
      sinkAudience: _audience,
      auth: _auth,
      ...bare
    } = status
    const { sinkUri, sinkCACerts, sinkAudience, auth } = binding?.status ?? {}
    status = {
      ...bare,
      ...(sinkUri !== undefined && { sinkUri }),
      ...(sinkCACerts !== undefined && { sinkCACerts }),
      ...(sinkAudience !== undefined && { sinkAudience }),
      ...(auth && { auth }),
    }
    const bound = binding && isObserved(binding) && conditionOf(binding.status, 'Ready')
    status = bound
      ? conditions.mirror(status, 'SinkBindingReady', bound, nowMs)
      : conditions.markUnknown(status, 'SinkBindingReady', '', '', nowMs)
    const token = conditionOf(binding?.status, 'OIDCTokenSecretCreated')?.status
    const canSend = sinkUri !== undefined && token === 'True'
    const available = deployment?.status?.conditions?.find(({ type }) => type === 'Available')
    const name = deploymentName(source.metadata.name)
    status =
      available?.status === 'True'
        ? conditions.markTrue(status, 'ReceiveAdapterReady', nowMs)
        : available?.status === 'False'
          ? conditions.markFalse(
              status,
              'ReceiveAdapterReady',
              available.reason ?? '',
              available.message ?? '',
              nowMs,
            )
          : conditions.markUnknown(
              status,
              'ReceiveAdapterReady',
              'DeploymentUnavailable',
              `The Deployment '${name}' is unavailable.`,
              nowMs,
            )
    const foreign = [deployment, binding].find((child) => child && !isControlledBy(child, source))
    if (foreign) {
      const text = `${foreign.kind} "${foreign.metadata.name}" is not owned by ContainerSource "${source.metadata.name}"`
      return { status: finish(status, source.status, generation, nowMs), error: new Error(text) }
    }
    return {
      // The pods come when there is something to tell them, and know it, and their token, from the beginning.
      apply: [
        {
          kind: SinkBinding,
          desired: desiredBinding(source),
          ...told(SinkBinding, bindingName(source.metadata.name)),
        },
        ...(!canSend && !deployment
          ? []
          : [
              {
                kind: Deployment,
                desired: desiredDeployment(
                  source,
                  source.spec.template ?? {},
                  deployment?.spec.replicas,
                ),
                ...told(Deployment, name),
              },
            ]),
      ],
      status: finish(status, source.status, generation, nowMs),
      events: source.status?.observedGeneration === generation ? [] : [reconciled(source)],
    }
  },
}

/** Once for each change of its spec. */
const reconciled = ({ metadata }: ContainerSource): PlannedEvent => ({
  type: 'Normal',
  reason: 'ContainerSourceReconciled',
  message: `ContainerSource reconciled: "${metadata.namespace ?? ''}/${metadata.name}"`,
})

const told = ({ kind }: Kind, name: string): Pick<Apply, 'created' | 'updated'> => ({
  created: {
    type: 'Normal',
    reason: `ContainerSource${kind}Created`,
    message: `${kind} created "${name}"`,
  },
  updated: {
    type: 'Normal',
    reason: `ContainerSource${kind}Updated`,
    message: `${kind} updated "${name}"`,
  },
})

const sourceLabels = (name: string): Readonly<Record<string, string>> => ({
  'sources.knative.dev/containerSource': name,
  'sources.knative.dev/source': 'container-source-controller',
})

const desiredBinding = (source: ContainerSource): SinkBinding => {
  const { name, namespace = '' } = source.metadata
  const { sink, ceOverrides } = source.spec
  return {
    apiVersion: 'sources.knative.dev/v1',
    kind: SinkBinding.kind,
    metadata: {
      name: bindingName(name),
      namespace,
      ownerReferences: [controllerRef(source)],
    },
    spec: {
      ...(sink && { sink }),
      ...(ceOverrides && { ceOverrides }),
      subject: {
        apiVersion: 'apps/v1',
        kind: Deployment.kind,
        namespace,
        name: deploymentName(name),
      },
    },
  }
}

export const desiredDeployment = (
  source: Pick<ContainerSource, 'apiVersion' | 'kind' | 'metadata'>,
  template: PodTemplateSpec,
  /** As many as somebody has scaled it to. */
  replicas?: number,
): Deployment => {
  const { name, namespace = '' } = source.metadata
  const labels = sourceLabels(name)
  return {
    apiVersion: 'apps/v1',
    kind: Deployment.kind,
    metadata: {
      name: deploymentName(name),
      namespace,
      labels,
      ownerReferences: [controllerRef(source)],
    },
    spec: {
      ...(replicas !== undefined && { replicas }),
      selector: { matchLabels: labels },
      template: {
        ...template,
        metadata: { ...template.metadata, labels: { ...template.metadata?.labels, ...labels } },
      },
    },
  }
}
