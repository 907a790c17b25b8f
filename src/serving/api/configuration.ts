/** Configuration: the wanted state of a Service's code; each change of it makes a Revision (serving.knative.dev/v1). */
import { admission } from '../../knative/admission.ts'
import { via, type FieldError } from '../../knative/field-error.ts'
import type { AdmissionContext, KindDefinition } from '../../kube/api/kind.ts'
import type { KubeObject } from '../../kube/api/meta.ts'
import { object, string, type Static } from '../../kube/api/schema.ts'
import { conditionSet } from '../../knative/conditions.ts'
import { sameJson } from '../../kube/api/validation.ts'
import { readyColumns } from '../../knative/columns.ts'
import { configurationV1alpha1 } from './conversion/v1alpha1.ts'
import { sameInV1beta1 } from './conversion/v1beta1.ts'
import { dryRunPod } from './dry-run.ts'
import { isOwned, validateMetadata, validateUserInfo, withUserInfo } from './metadata.ts'
import { label, servingGroup } from './names.ts'
import { RevisionTemplate } from './revision-spec.ts'
import { readServingConfigs, type ServingConfigs } from './serving-configs.ts'
import { statusFields } from '../../knative/status.ts'
import {
  defaultTemplate,
  repairTemplateMetadata,
  validateNamedRevision,
  validateTemplate,
} from './template.ts'

/** The template is there in every admitted object; that it is required is said by validation, in Knative's words. */
export interface ConfigurationSpec {
  readonly template: RevisionTemplate
}
const configurationSpec = object({ template: RevisionTemplate })

export const ConfigurationStatus = object({
  ...statusFields,
  latestCreatedRevisionName: string({ description: 'The Revision made last.' }),
  latestReadyRevisionName: string({ description: 'The newest Revision that was ready.' }),
})
export type ConfigurationStatus = Static<typeof ConfigurationStatus>

export interface Configuration extends KubeObject {
  readonly spec: ConfigurationSpec
  readonly status?: ConfigurationStatus
}

/** A Configuration with all defaults written out. `old` = the stored one, on update. */
export const defaultConfiguration = (
  configuration: Configuration,
  configs: ServingConfigs,
  {
    old,
    isCreate = false,
  }: { readonly old?: Configuration | undefined; readonly isCreate?: boolean } = {},
): Configuration => defaultTemplate(configuration, old, configs, isCreate)

function defaults(sent: Configuration, context: AdmissionContext<Configuration>): Configuration {
  const { old, operation } = context
  const template =
    sent.spec?.template && repairTemplateMetadata(sent.spec.template, (text) => context.warn(text))
  const configuration = { ...sent, spec: { ...sent.spec, ...(template && { template }) } }
  const configs = readServingConfigs(context)
  const isCreate = operation === 'CREATE'
  const defaulted = defaultConfiguration(configuration, configs, { old, isCreate })
  if (isOwned(defaulted)) return defaulted
  return withUserInfo(defaulted, context, specChanged(defaulted, old, configs))
}

const specChanged = (
  configuration: Configuration,
  old: Configuration | undefined,
  configs: ServingConfigs,
) => !old || !sameJson(configuration.spec, defaultConfiguration(old, configs).spec)

function* validate(
  configuration: Configuration,
  context: AdmissionContext<Configuration>,
): Generator<FieldError> {
  const { metadata, spec } = configuration
  const { old } = context
  const configs = readServingConfigs(context)
  yield* validateMetadata('Configuration', metadata, old?.metadata)
  if (!isOwned(configuration))
    yield* validateUserInfo(configuration, old, specChanged(configuration, old, configs))
  yield* via('spec', validateTemplate(spec.template, metadata, configs))
  yield* via('spec', validateNamedRevision(spec.template, old?.spec.template))
}

/** A Configuration's Ready is set directly. */
export const configurationConditions = conditionSet({ dependents: [] })

const schema = object({ spec: configurationSpec, status: ConfigurationStatus })

export const Configuration: KindDefinition<Configuration> = {
  group: servingGroup,
  version: 'v1',
  kind: 'Configuration',
  plural: 'configurations',
  singular: 'configuration',
  shortNames: ['config', 'cfg'],
  categories: ['all', 'knative', 'serving'],
  namespaced: true,
  flavour: 'custom',
  hasStatus: true,
  hasGeneration: true,
  description: 'The wanted state of code and its settings. Each change makes a new Revision.',
  admit: admission({
    defaults,
    validate,
    callback(configuration, context) {
      // A Service's Configuration was looked at with the Service.
      if (configuration.metadata.labels?.[label.service] === undefined)
        dryRunPod(configuration.spec.template, configuration, context)
    },
  }),
  schema,
  versions: [configurationV1alpha1(ConfigurationStatus), sameInV1beta1('Configuration', schema)],
  columns: [
    {
      name: 'LatestCreated',
      type: 'string',
      value: ({ status }) => status?.latestCreatedRevisionName,
    },
    { name: 'LatestReady', type: 'string', value: ({ status }) => status?.latestReadyRevisionName },
    ...readyColumns,
  ],
}
