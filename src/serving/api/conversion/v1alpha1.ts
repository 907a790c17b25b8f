/** serving.knative.dev/v1alpha1 of the four kinds, the API of 2018 to 2020: accepted, answered, stored as v1. */
import { via } from '../../../knative/field-error.ts'
import type { ServedVersion } from '../../../kube/api/kind.ts'
import { object, type Schema } from '../../../kube/api/schema.ts'
import { TrafficTarget } from '../traffic-target.ts'
import { fieldsOf, isPatched, partsOf, refuse, withParts, without, type Fields } from './fields.ts'
import {
  fromLegacyRevisionStatus,
  fromLegacyStatus,
  legacyStatus,
  toLegacyRevisionStatus,
  toLegacyStatus,
} from './legacy-status.ts'
import {
  convertRevisionSpec,
  convertTemplate,
  convertTraffic,
  legacyConfigurationFields,
  legacyConfigurationSpec,
  legacyRevisionSpec,
  legacyTraffic,
  validateLegacyConfiguration,
  validateLegacySpec,
  validateLegacyTraffic,
} from './legacy-template.ts'
import { modeFields, modeOf, trafficOf, validateModes } from './service-modes.ts'

const version = 'v1alpha1'
const oldApi = 'serving.knative.dev/v1alpha1'
const todaysApi = 'serving.knative.dev/v1'

const deprecated = (kind: string, hint: string): string =>
  `${oldApi} ${kind} is deprecated; use ${todaysApi} ${kind}${hint}`

export const serviceV1alpha1 = (status: Schema): ServedVersion => ({
  version,
  schema: object({
    spec: object({
      ...modeFields,
      ...legacyConfigurationFields,
      traffic: legacyTraffic(TrafficTarget),
    }),
    status: legacyStatus(status),
  }),
  deprecationWarning: deprecated('Service', ' with spec.template and spec.traffic'),
  toStorage(service, warn) {
    const parts = partsOf(service)
    const { spec } = parts
    const patched = isPatched(service)
    const mode = modeOf(spec)
    refuse(via('spec', validateModes(spec, patched)))
    refuse(via('spec', validateLegacyTraffic(spec['traffic'])))
    const configuration = mode ? fieldsOf(fieldsOf(spec[mode])['configuration']) : spec
    refuse(
      via('spec', validateLegacySpec(fieldsOf(spec['template'])['spec'], 'template.spec', patched)),
    )
    const traffic = mode ? trafficOf(mode, spec) : convertTraffic(spec['traffic'])
    return withParts(
      service,
      todaysApi,
      {
        template: convertTemplate(configuration, warn),
        ...(traffic.length > 0 && { traffic }),
      },
      parts.status && fromLegacyStatus(parts.status),
    )
  },
  fromStorage(service) {
    const { spec, status } = partsOf(service)
    return withParts(service, oldApi, spec, status && toLegacyStatus(status, service.metadata))
  },
})

export const configurationV1alpha1 = (status: Schema): ServedVersion => ({
  version,
  schema: object({ spec: legacyConfigurationSpec, status }),
  deprecationWarning: deprecated('Configuration', ' with spec.template'),
  toStorage(configuration, warn) {
    const { spec, status: current } = partsOf(configuration)
    refuse(via('spec', validateLegacyConfiguration(spec, isPatched(configuration))))
    return withParts(configuration, todaysApi, { template: convertTemplate(spec, warn) }, current)
  },
  fromStorage(configuration) {
    const { spec, status: current } = partsOf(configuration)
    return withParts(configuration, oldApi, spec, current)
  },
})

export const revisionV1alpha1 = (status: Schema): ServedVersion => ({
  version,
  schema: object({ spec: legacyRevisionSpec, status }),
  deprecationWarning: deprecated('Revision', ' with spec.containers'),
  toStorage(revision, warn) {
    const { spec, status: current } = partsOf(revision)
    refuse(validateLegacySpec(spec, 'spec', isPatched(revision)))
    return withParts(
      revision,
      todaysApi,
      convertRevisionSpec(spec, 'spec', warn),
      current && fromLegacyRevisionStatus(current),
    )
  },
  fromStorage: (revision) => revisionInOldForm(revision, oldApi),
})

/** Both old versions answer the status fields of before 0.17. */
export function revisionInOldForm(
  revision: Parameters<ServedVersion['fromStorage']>[0],
  apiVersion: string,
): ReturnType<ServedVersion['fromStorage']> {
  const { spec, status } = partsOf(revision)
  const { name } = revision.metadata
  return withParts(revision, apiVersion, spec, status && toLegacyRevisionStatus(status, spec, name))
}

export const routeV1alpha1 = (status: Schema): ServedVersion => ({
  version,
  schema: object({
    spec: object({
      generation: legacyConfigurationFields.generation,
      traffic: legacyTraffic(TrafficTarget),
    }),
    status: legacyStatus(status),
  }),
  deprecationWarning: deprecated('Route', ' with spec.traffic[].tag'),
  toStorage(route) {
    const parts = partsOf(route)
    refuse(via('spec', validateLegacyTraffic(parts.spec['traffic'])))
    const spec: Fields = {
      ...without(parts.spec, 'generation'),
      traffic: convertTraffic(parts.spec['traffic']),
    }
    return withParts(route, todaysApi, spec, parts.status && fromLegacyStatus(parts.status))
  },
  fromStorage(route) {
    const { spec, status: current } = partsOf(route)
    return withParts(route, oldApi, spec, current && toLegacyStatus(current, route.metadata))
  },
})
