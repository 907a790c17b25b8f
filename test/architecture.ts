/** What each folder of src/ may import, besides itself. The architecture, readable in one place and kept true by a test. */
export const architecture: Readonly<Record<string, readonly string[]>> = {
  lib: [],
  testing: [
    'lib',
    'image',
    'kube/api',
    'kube/store',
    'kube/apiserver',
    'kube/client',
    'kube/kubelet',
    'serving/api',
  ],
  image: ['lib'],
  registry: ['lib', 'image'],
  'eventing/cesql': [],
  'eventing/cloudevents': [],
  'eventing/log': ['lib'],
  'eventing/controllers': [
    'lib',
    'kube/api',
    'kube/client',
    'kube/controller',
    'knative',
    'eventing/api',
    'eventing/broker', // only feed.ts: the shape of what it is told
    'eventing/sources/api-server', // only its seam: what is to be followed, and how that goes
  ],
  'eventing/broker': [
    'lib',
    'eventing/cesql',
    'eventing/cloudevents',
    'eventing/log',
    'eventing/sources', // only main.ts: what else runs in its process
  ],
  // what emits; of the engine only the shape of what it is told, and its sender
  'eventing/sources': ['lib', 'eventing/broker', 'eventing/cloudevents'],
  'eventing/sources/api-server': [
    'lib',
    'kube/api',
    'kube/client',
    'eventing/api',
    'eventing/broker',
    'eventing/cloudevents',
    'eventing/sources',
  ],
  'eventing/sources/job-sink': [
    'lib',
    'kube/api',
    'kube/client',
    'knative',
    'eventing/api',
    'eventing/cloudevents',
  ],
  'kube/api': ['lib'],
  'kube/store': ['lib', 'kube/api'],
  'kube/apiserver': ['lib', 'kube/api', 'kube/store'],
  'kube/client': ['lib', 'kube/api'], // not apiserver: they meet in the protocol
  'kube/client/node': ['lib', 'kube/api', 'kube/client'], // HTTPS and kubeconfig files; not for browsers
  'kube/controller': ['lib', 'kube/api', 'kube/client'],
  'kube/controllers': ['lib', 'kube/api', 'kube/client', 'kube/controller'],
  'kube/kubelet': ['lib', 'kube/api', 'kube/client', 'image'],
  'kube/kubelet/docker': ['lib', 'image', 'kube/kubelet'], // the runtime's other side; only platform opens it
  knative: ['lib', 'kube/api', 'kube/client'],
  'serving/api': ['lib', 'kube/api', 'knative'],
  'eventing/api': ['lib', 'kube/api', 'knative', 'eventing/cesql'],
  'serving/autoscaler': ['lib', 'serving/api'],
  'serving/gateway': ['lib', 'kube/api', 'knative', 'serving/api'], // not controllers: they meet in the feed
  'serving/controllers': [
    'lib',
    'kube/api',
    'kube/client',
    'kube/controller',
    'knative',
    'serving/api',
    'serving/autoscaler',
    'serving/gateway', // only feed.ts: the shape of what it is told
  ],
  'routing/api': ['lib', 'kube/api', 'knative'],
  'routing/rules': ['lib', 'knative', 'routing/api', 'serving/gateway'], // only feed.ts, as above
  'routing/controllers': [
    'lib',
    'kube/api',
    'kube/client',
    'kube/controller',
    'knative',
    'routing/api',
    'routing/rules',
    'serving/api',
    'serving/controllers', // only ingress/: how the gateway is told
    'serving/gateway',
  ],
  // the package's doors
  'api.ts': ['lib', 'kube/api', 'knative', 'serving/api', 'eventing/api'],
  'client.ts': ['lib', 'kube/client', 'kube/client/node'],
  'controller.ts': ['kube/controller'],
  'index.ts': ['api.ts', 'client.ts', 'controller.ts'],
  platform: ['*'],
  cli: [
    'lib',
    'kube/api',
    'kube/client',
    'kube/client/node',
    'knative', // only how an object stands: its conditions
    'serving/api',
    'eventing/api',
    'eventing/broker', // only shapes: what following answers
    'eventing/cesql', // whether a --filter can be read
    'eventing/cloudevents', // how headers say what --ext says
    'image',
    'platform',
  ],
}

/** Folders that also run in browsers: no `node:` imports. */
export const browser: readonly string[] = [
  'kube/api',
  'kube/client',
  'knative',
  'serving/api',
  'routing/api',
]
