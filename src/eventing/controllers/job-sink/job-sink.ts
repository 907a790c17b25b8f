/** JobSink: its address, which is always there (contract eventing §2.16); `sources/job-sink/` makes the Jobs. */
import { finish } from '../../../knative/conditions.ts'
import type { Reconciler } from '../../../kube/controller/reconciler.ts'
import {
  JobSink,
  jobSinkConditions as conditions,
  jobSinkHost,
  jobSinkLabel,
  type JobSinkStatus,
} from '../../api/job-sink.ts'
import { audienceIn } from '../identity/audience.ts'
import { policiesFor, policyWatches, withPolicies, type Policies } from '../policies.ts'

export interface World {
  readonly sink: JobSink
  readonly policies: Policies | undefined
  /** Undefined = senders need no tokens. */
  readonly audience: string | undefined
}

export const jobSinkReconciler: Reconciler<JobSink, World> = {
  name: 'jobsink-controller',
  kind: JobSink,
  watches: policyWatches(JobSink),
  observe: (sink, read) => ({
    sink,
    policies: policiesFor(JobSink, sink, read),
    audience: audienceIn(read, JobSink, sink),
  }),
  plan({ sink, policies, audience }, nowMs) {
    const { generation = 0, namespace = '', name } = sink.metadata
    const begun: JobSinkStatus = conditions.begin(sink.status ?? {}, generation, nowMs)
    const address = {
      name: 'http',
      url: `http://${jobSinkHost}/${namespace}/${name}`,
      ...(audience !== undefined && { audience }),
    }
    const status = withPolicies(
      conditions.markTrue(
        { ...begun, address, addresses: [address], job: { selector: `${jobSinkLabel}=${name}` } },
        'Addressable',
        nowMs,
      ),
      conditions,
      policies,
      nowMs,
    )
    return { status: finish(status, sink.status, generation, nowMs) }
  },
}
