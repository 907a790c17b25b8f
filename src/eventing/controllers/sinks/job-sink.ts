/**
 * JobSink: its address, which is always there (knative.dev/eventing `pkg/reconciler/jobsink`); `sources/job-sink/`
 * makes the Jobs.
 */
import { finish } from '../../../knative/conditions.ts'
import type { Reconciler } from '../../../kube/controller/reconciler.ts'
import {
  JobSink,
  jobSinkConditions as conditions,
  jobSinkHost,
  jobSinkLabel,
  jobSinkLabelValue,
  type JobSinkStatus,
} from '../../api/sinks/job-sink.ts'
import {
  addressesOf,
  withAddresses,
  withoutCertificate,
  transportIn,
  transportWatches,
  type Transport,
} from '../transport/addresses.ts'
import { serverSecrets } from '../transport/server-secrets.ts'
import { audienceIn } from '../authorization/audience.ts'
import {
  policiesFor,
  policyWatches,
  withPolicies,
  type Policies,
} from '../authorization/policies.ts'

export interface World {
  readonly sink: JobSink
  readonly policies: Policies | undefined
  /** Undefined = senders need no tokens. */
  readonly audience: string | undefined
  readonly transport: Transport
}

export const jobSinkReconciler: Reconciler<JobSink, World> = {
  name: 'jobsink-controller',
  kind: JobSink,
  watches: [...policyWatches(JobSink), ...transportWatches(JobSink)],
  observe: (sink, read) => ({
    sink,
    policies: policiesFor(JobSink, sink, read),
    audience: audienceIn(read, JobSink, sink),
    transport: transportIn(read, serverSecrets.jobSink.name),
  }),
  plan({ sink, policies, audience, transport }, nowMs) {
    const { generation = 0, namespace = '', name } = sink.metadata
    const begun: JobSinkStatus = conditions.begin(sink.status ?? {}, generation, nowMs)
    const place = `${jobSinkHost}/${namespace}/${name}`
    const found = addressesOf(
      { http: `http://${place}`, https: `https://${place}` },
      audience,
      transport,
    )
    const { address } = found
    const addresses = found.addresses ?? (address ? [address] : [])
    const addressed: JobSinkStatus = {
      ...withAddresses(begun, { ...found, addresses }),
      job: { selector: `${jobSinkLabel}=${jobSinkLabelValue(name)}` },
    }
    const status = withPolicies(
      address
        ? conditions.markTrue(addressed, 'Addressable', nowMs)
        : withoutCertificate(addressed, conditions, nowMs),
      conditions,
      policies,
      nowMs,
    )
    return { status: finish(status, sink.status, generation, nowMs) }
  },
}
