/** What old commands read in a status (`domain`, `domainInternal`, `address.hostname`, `traffic[].name`). */
import type { ObjectMeta } from '../../../kube/api/meta.ts'
import { object, string, type Schema } from '../../../kube/api/schema.ts'
import { clusterDomain } from '../names.ts'
import { convertTraffic, legacyTraffic } from './legacy-template.ts'
import { fieldsOf, isFields, listOf, textOf, without, type Fields } from './fields.ts'
import { TrafficTarget } from '../traffic-target.ts'

/** The schema of a status with the fields of 2018. */
export const legacyStatus = (status: Schema): Schema =>
  object({
    ...status.properties,
    domainInternal: string({ description: 'Host inside the cluster.' }),
    traffic: legacyTraffic(TrafficTarget),
  })

/** Status of a Service or Route as old clients expect it. */
export function toLegacyStatus(status: Fields, metadata: ObjectMeta): Fields {
  const url = textOf(status['url'])
  if (!url) return withNames(status)
  const internal = `${metadata.name}.${metadata.namespace ?? 'default'}.svc.${clusterDomain}`
  return {
    ...withNames(status),
    domain: hostOf(url),
    domainInternal: internal,
    address: { ...fieldsOf(status['address']), hostname: internal },
  }
}

const withNames = (status: Fields): Fields =>
  status['traffic'] === undefined
    ? status
    : {
        ...status,
        traffic: listOf(status['traffic']).map((target) => {
          const fields = fieldsOf(target)
          return fields['tag'] ? { ...fields, name: fields['tag'] } : fields
        }),
      }

/** The way back: without what is derived. */
export const fromLegacyStatus = (status: Fields): Fields => ({
  ...without(status, 'domainInternal'),
  ...(status['traffic'] !== undefined && { traffic: convertTraffic(status['traffic']) }),
  ...(isFields(status['address']) && { address: without(status['address'], 'hostname') }),
})

/** `hello.default.example.com:8080` of `http://hello.default.example.com:8080/`, without the port. */
const hostOf = (url: string): string => /^[a-z]+:\/\/([^/:]+)/.exec(url)?.[1] ?? url

/** Fields of a Revision's status before 0.17. */
export function toLegacyRevisionStatus(status: Fields, spec: Fields, name: string): Fields {
  const containers = listOf(spec['containers']).map(fieldsOf)
  const serving = containers.find(({ ports }) => listOf(ports).length > 0) ?? containers[0]
  const digest = listOf(status['containerStatuses'])
    .map(fieldsOf)
    .find((each) => each['name'] === serving?.['name'])?.['imageDigest']
  return { ...status, serviceName: name, ...(digest ? { imageDigest: digest } : {}) }
}

export const fromLegacyRevisionStatus = (status: Fields): Fields =>
  without(status, 'serviceName', 'imageDigest')
