/** TrafficTarget: one share of a Route's requests (serving/v1). */
import { boolean, integer, list, object, string, type Static } from '../../kube/api/schema.ts'

export const TrafficTarget = object({
  configurationName: string({
    description:
      'Configuration whose latest ready Revision gets the traffic. Only in Routes; a Service fills it in.',
  }),
  latestRevision: boolean({
    description: 'True: the latest ready Revision gets the traffic, now and later.',
  }),
  percent: integer({
    format: 'int64',
    description: 'Percent of the traffic, 0 to 100; all targets sum to 100.',
  }),
  revisionName: string({ description: 'Revision that gets the traffic.' }),
  tag: string({ description: 'Gives the target a host of its own, in front of the Route’s.' }),
  url: string({ description: 'Where the tag is served. Only in status.' }),
})
export type TrafficTarget = Static<typeof TrafficTarget>

export const traffic = list(TrafficTarget, {
  description: 'How traffic is shared between Revisions and Configurations.',
})
