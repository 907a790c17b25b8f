/**
 * The roles that Knative and Tekton bring into a cluster, by their usual names: parts of `admin`, `edit` and `view`, so
 * that who may edit a namespace may edit its Services too.
 */
import { partOf, type PolicyObject } from '../../kube/apiserver/access/rbac/default-policy.ts'

const read = ['get', 'list', 'watch']
const change = ['create', 'update', 'patch', 'delete']

const serving = [
  'serving.knative.dev',
  'networking.internal.knative.dev',
  'autoscaling.internal.knative.dev',
  'caching.internal.knative.dev',
]
const servingLabels = {
  'app.kubernetes.io/name': 'knative-serving',
  'app.kubernetes.io/component': 'namespaced-roles',
}

/** Eventing's groups, each with its part of `admin`. */
const eventing = ['eventing', 'messaging', 'flows', 'sources', 'bindings', 'sinks']
const eventingGroups = eventing.map((name) => `${name}.knative.dev`)
const eventingLabels = { 'app.kubernetes.io/name': 'knative-eventing' }

const withStatus = (...resources: readonly string[]): readonly string[] =>
  resources.flatMap((each) => [each, `${each}/status`])
const mayRead = (group: string, ...resources: readonly string[]) => [
  { apiGroups: [group], resources: withStatus(...resources), verbs: read },
]

/** What kinds of Eventing give to the roles that are made of all kinds of a sort: name, sort, rules. */
const ducks = [
  ['broker-addressable-resolver', 'addressable', mayRead('eventing.knative.dev', 'brokers')],
  [
    'eventtransforms-addressable-resolver',
    'addressable',
    mayRead('eventing.knative.dev', 'eventtransforms', 'requestreplies'),
  ],
  [
    'channel-addressable-resolver',
    'addressable',
    mayRead('messaging.knative.dev', 'channels', 'inmemorychannels'),
  ],
  [
    'flows-addressable-resolver',
    'addressable',
    mayRead('flows.knative.dev', 'sequences', 'parallels'),
  ],
  ['jobsinks-addressable-resolver', 'addressable', mayRead('sinks.knative.dev', 'jobsinks')],
  [
    'service-addressable-resolver',
    'addressable',
    [{ apiGroups: [''], resources: ['services'], verbs: read }],
  ],
  [
    'imc-channelable-manipulator',
    'channelable',
    [
      {
        apiGroups: ['messaging.knative.dev'],
        resources: withStatus('inmemorychannels', 'channels'),
        verbs: ['create', 'get', 'list', 'watch', 'update', 'patch', 'delete'],
      },
    ],
  ],
  [
    'eventing-sources-source-observer',
    'source',
    mayRead(
      'sources.knative.dev',
      'apiserversources',
      'containersources',
      'pingsources',
      'sinkbindings',
    ),
  ],
  [
    'builtin-podspecable-binding',
    'podspecable',
    [
      {
        apiGroups: ['apps'],
        resources: ['deployments', 'daemonsets', 'statefulsets', 'replicasets'],
        verbs: ['list', 'watch', 'patch'],
      },
      { apiGroups: ['batch'], resources: ['jobs'], verbs: ['list', 'watch', 'patch'] },
    ],
  ],
  [
    'broker-crossnamespace-subscriber',
    'crossnamespace-subscribable',
    [{ apiGroups: ['eventing.knative.dev'], resources: ['brokers'], verbs: ['knsubscribe'] }],
  ],
  [
    'channel-crossnamespace-subscriber',
    'crossnamespace-subscribable',
    [
      {
        apiGroups: ['messaging.knative.dev'],
        resources: ['channels', 'inmemorychannels'],
        verbs: ['knsubscribe'],
      },
    ],
  ],
] as const satisfies readonly (readonly [string, string, PolicyObject['rules'] & {}])[]

const tektonResources = [
  'tasks',
  'taskruns',
  'pipelines',
  'pipelineruns',
  'runs',
  'customruns',
  'stepactions',
]
const tektonLabels = {
  'app.kubernetes.io/name': 'tekton-pipelines',
  'app.kubernetes.io/part-of': 'tekton-pipelines',
}

/** A new list each time: what is stored is frozen. */
export const productRoles = (): readonly PolicyObject[] => [
  partOf(
    ['admin'],
    'knative-serving-namespaced-admin',
    [{ apiGroups: serving, resources: ['*'], verbs: ['*'] }],
    servingLabels,
  ),
  partOf(
    ['edit'],
    'knative-serving-namespaced-edit',
    [{ apiGroups: serving, resources: ['*'], verbs: change }],
    servingLabels,
  ),
  partOf(
    ['view'],
    'knative-serving-namespaced-view',
    [{ apiGroups: serving, resources: ['*'], verbs: read }],
    servingLabels,
  ),
  labelled('knative-serving-addressable-resolver', 'duck.knative.dev/addressable', [
    {
      apiGroups: ['serving.knative.dev'],
      resources: ['routes', 'routes/status', 'services', 'services/status'],
      verbs: read,
    },
  ]),
  labelled('knative-serving-podspecable-binding', 'duck.knative.dev/podspecable', [
    {
      apiGroups: ['serving.knative.dev'],
      resources: ['configurations', 'services'],
      verbs: ['list', 'watch', 'patch'],
    },
  ]),
  ...eventing.map((name) =>
    partOf(
      ['admin'],
      `knative-${name}-namespaced-admin`,
      [{ apiGroups: [`${name}.knative.dev`], resources: ['*'], verbs: ['*'] }],
      eventingLabels,
    ),
  ),
  partOf(
    ['edit'],
    'knative-eventing-namespaced-edit',
    [{ apiGroups: eventingGroups, resources: ['*'], verbs: change }],
    eventingLabels,
  ),
  partOf(
    ['view'],
    'knative-eventing-namespaced-view',
    [{ apiGroups: eventingGroups, resources: ['*'], verbs: read }],
    eventingLabels,
  ),
  union('addressable-resolver', 'duck.knative.dev/addressable'),
  union('channelable-manipulator', 'duck.knative.dev/channelable'),
  union('source-observer', 'duck.knative.dev/source'),
  union('podspecable-binding', 'duck.knative.dev/podspecable'),
  union('crossnamespace-subscriber', 'duck.knative.dev/crossnamespace-subscribable'),
  ...ducks.map(([name, label, rules]) =>
    partOf([], name, rules, { ...eventingLabels, [`duck.knative.dev/${label}`]: 'true' }),
  ),
  partOf(
    ['admin', 'edit'],
    'tekton-aggregate-edit',
    [
      {
        apiGroups: ['tekton.dev'],
        resources: tektonResources,
        verbs: [...change, 'deletecollection', ...read],
      },
    ],
    tektonLabels,
  ),
  partOf(
    ['view'],
    'tekton-aggregate-view',
    [{ apiGroups: ['tekton.dev'], resources: tektonResources, verbs: read }],
    tektonLabels,
  ),
]

function labelled(name: string, label: string, rules: PolicyObject['rules'] & {}): PolicyObject {
  return partOf([], name, rules, { ...servingLabels, [label]: 'true' })
}

/** A role made of all that carry `label`; who brings a kind adds to it. */
const union = (name: string, label: string): PolicyObject => ({
  ...partOf([], name, [], eventingLabels),
  aggregationRule: { clusterRoleSelectors: [{ matchLabels: { [label]: 'true' } }] },
})
