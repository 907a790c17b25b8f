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
import { withoutPolicies } from '../marks.ts'

export const jobSinkReconciler: Reconciler<JobSink, JobSink> = {
  name: 'jobsink-controller',
  kind: JobSink,
  watches: [],
  observe: (sink) => sink,
  plan(sink, nowMs) {
    const { generation = 0, namespace = '', name } = sink.metadata
    const begun: JobSinkStatus = conditions.begin(sink.status ?? {}, generation, nowMs)
    const address = { name: 'http', url: `http://${jobSinkHost}/${namespace}/${name}` }
    const status = withoutPolicies(
      conditions.markTrue(
        { ...begun, address, addresses: [address], job: { selector: `${jobSinkLabel}=${name}` } },
        'Addressable',
        nowMs,
      ),
      conditions,
      nowMs,
    )
    return { status: finish(status, sink.status, generation, nowMs) }
  },
}
