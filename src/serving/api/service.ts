/** Service: a Configuration and a Route that are managed together (serving.knative.dev/v1). */
import { admission } from '../../knative/admission.ts'
import { via, type FieldError } from '../../knative/field-error.ts'
import type { AdmissionContext, KindDefinition } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { object, string, type Static } from '../../kube/api/schema.ts'
import { conditionSet } from '../../knative/conditions.ts'
import { sameJson } from '../../kube/api/validation.ts'
import { readyColumns } from '../../knative/columns.ts'
import { serviceV1alpha1 } from './conversion/v1alpha1.ts'
import { sameInV1beta1 } from './conversion/v1beta1.ts'
import { dryRunPod } from './dry-run.ts'
import { validateMetadata, validateUserInfo, withUserInfo, withVisibility } from './metadata.ts'
import { servingGroup } from './names.ts'
import { RevisionTemplate } from './revision-spec.ts'
import { routeStatusFields } from './route.ts'
import { readServingConfigs, type ServingConfigs } from './serving-configs.ts'
import { statusFields } from '../../knative/status.ts'
import {
  defaultTemplate,
  repairTemplateMetadata,
  validateNamedRevision,
  validateTemplate,
} from './template.ts'
import { traffic, type TrafficTarget } from './traffic-target.ts'
import { defaultTraffic, latestTraffic, validateTraffic } from './traffic-validation.ts'

/** The template is there in every admitted object; that it is required is said by validation, in Knative's words. */
export interface ServiceSpec {
  readonly template: RevisionTemplate
  readonly traffic?: readonly TrafficTarget[]
}
const serviceSpec = object({ template: RevisionTemplate, traffic })

export const ServiceStatus = object({
  ...statusFields,
  ...routeStatusFields,
  latestCreatedRevisionName: string({ description: 'The Revision made last.' }),
  latestReadyRevisionName: string({ description: 'The newest Revision that was ready.' }),
})
export type ServiceStatus = Static<typeof ServiceStatus>

export interface Service extends KubeObject {
  readonly spec: ServiceSpec
  readonly status?: ServiceStatus
}

/** A Service with all defaults written out. `old` = the stored one, on update. */
export function defaultService(
  service: Service,
  configs: ServingConfigs,
  {
    old,
    isCreate = false,
  }: { readonly old?: Service | undefined; readonly isCreate?: boolean } = {},
): Service {
  const templated = defaultTemplate(service, old, configs, isCreate)
  const targets = templated.spec.traffic?.length ? templated.spec.traffic : latestTraffic
  return { ...templated, spec: { ...templated.spec, traffic: defaultTraffic(targets) } }
}

function defaults(sent: Service, context: AdmissionContext<Service>): Service {
  const { old, operation } = context
  const service = withVisibility(withSpec(sent, context), context)
  const configs = readServingConfigs(context)
  const defaulted = defaultService(service, configs, { old, isCreate: operation === 'CREATE' })
  return withUserInfo(defaulted, context, specChanged(defaulted, old, configs))
}

/** Also a Service sent without a spec has one from here on; that its template is missing is then said in words. */
const withSpec = (service: Service, context: AdmissionContext<Service>): Service =>
  service.spec?.template
    ? {
        ...service,
        spec: {
          ...service.spec,
          template: repairTemplateMetadata(service.spec.template, (text) => context.warn(text)),
        },
      }
    : { ...service, spec: { ...service.spec } }

/** The stored object is defaulted too before the two are compared: a new cluster default is nobody's change. */
const specChanged = (service: Service, old: Service | undefined, configs: ServingConfigs) =>
  !old || !sameJson(service.spec, defaultService(old, configs).spec)

function* validate(service: Service, context: AdmissionContext<Service>): Generator<FieldError> {
  const { metadata, spec } = service
  const { old } = context
  const configs = readServingConfigs(context)
  yield* validateMetadata('Service', metadata)
  yield* validateUserInfo(service, old, specChanged(service, old, configs))
  yield* via('spec', validateTemplate(spec.template, metadata, configs))
  yield* via('spec', validateNamedRevision(spec.template, old?.spec.template))
  yield* via('spec', validateTraffic(spec.traffic ?? [], 'Service'))
}

/** What Ready of a Service depends on. */
export const serviceConditions = conditionSet({
  dependents: ['ConfigurationsReady', 'RoutesReady'],
})

const schema = object({ spec: serviceSpec, status: ServiceStatus })

export const Service: KindDefinition<Service> = {
  group: servingGroup,
  version: 'v1',
  kind: 'Service',
  plural: 'services',
  singular: 'service',
  shortNames: ['kservice', 'ksvc'],
  categories: ['all', 'knative', 'serving'],
  namespaced: true,
  flavour: 'custom',
  hasStatus: true,
  hasGeneration: true,
  description:
    'A program that answers requests: its code and settings (a Configuration) and its address (a Route), managed together.',
  admit: admission({
    defaults,
    validate,
    callback: (service, context) => dryRunPod(service.spec.template, service, context),
  }),
  schema,
  versions: [serviceV1alpha1(ServiceStatus), sameInV1beta1('Service', schema)],
  columns: [
    { name: 'URL', type: 'string', value: ({ status }) => status?.url },
    {
      name: 'LatestCreated',
      type: 'string',
      value: ({ status }) => status?.latestCreatedRevisionName,
    },
    { name: 'LatestReady', type: 'string', value: ({ status }) => status?.latestReadyRevisionName },
    ...readyColumns,
  ],
}
