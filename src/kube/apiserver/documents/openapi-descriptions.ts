/**
 * What `kubectl explain` says of built-in types and their fields, where there is something worth saying. Kinds of
 * our own carry their descriptions in their schemas.
 */
const types: Readonly<Record<string, string>> = {
  Binding: 'Says on which node a pod runs; written by schedulers.',
  Eviction: 'Asks that a pod leaves its node, unless a PodDisruptionBudget forbids it.',
  Scale: 'How many pods of an object are wanted, and how many there are.',
  DeleteOptions:
    'How an object is deleted: how long it may take, and what becomes of its dependents.',
  Status: 'What came of a request that has no object to answer with, or was refused.',
  TokenRequest: 'Asks for a token of a ServiceAccount.',
  ObjectMeta:
    'What every object has: name, namespace, labels, annotations, and what the server keeps about it.',
  PodSpec: 'What a pod is made of: its containers and how they are run.',
  PodTemplateSpec: 'The pods that are made: their labels and annotations, and their spec.',
  PodStatus: 'What has become of a pod, as the node agent sees it.',
  Container: 'One container of a pod: an image, how it is started, and how it is looked after.',
  ContainerPort: 'A port that the container listens on.',
  EnvVar: 'An environment variable of a container.',
  Probe: 'A check that is made again and again, to learn whether a container lives or is ready.',
  ResourceRequirements: 'How much CPU and memory a container may use and should have.',
  Volume: 'A directory that containers of the pod can mount.',
  VolumeMount: 'Where a container sees a volume.',
  LabelSelector:
    'Chooses objects by their labels. All conditions have to hold; an empty selector chooses everything.',
  ServiceSpec: 'How a service is reached and which pods are behind it.',
  ServicePort: 'A port of the service, and the port of the pods that it leads to.',
  DeploymentSpec:
    'How many pods there should be, of which template, and how changes are rolled out.',
  DeploymentStatus: 'How far the deployment has come.',
  DeploymentStrategy: 'How old pods are replaced by new ones.',
  ReplicaSetSpec: 'How many pods there should be, of which template.',
  ReplicaSetStatus: 'How many pods there are.',
}

const fields: Readonly<Record<string, string>> = {
  'ObjectMeta.name':
    'The name, unique among objects of the same kind in the namespace. Never changes.',
  'ObjectMeta.generateName': 'A prefix from which the server makes a name, when no name is given.',
  'ObjectMeta.namespace': 'The namespace of the object. Never changes.',
  'ObjectMeta.labels': 'Keys and values by which objects are chosen.',
  'ObjectMeta.annotations':
    'Keys and values for people and programs; objects are not chosen by them.',
  'ObjectMeta.uid':
    'Tells this object from any other, also from one of the same name earlier or later.',
  'ObjectMeta.resourceVersion':
    'Changes with each change of the object. Sent along with an update, it refuses the update when the object has changed since.',
  'ObjectMeta.generation': 'Counts changes of what is wished for (the spec).',
  'ObjectMeta.creationTimestamp': 'When the object was made.',
  'ObjectMeta.deletionTimestamp': 'When the object was asked to go.',
  'ObjectMeta.finalizers': 'Who still has work to do before the object may go.',
  'ObjectMeta.ownerReferences':
    'Objects that this one belongs to; it goes when all of them are gone.',
  'ObjectMeta.managedFields': 'Who last set which fields.',
  'PodSpec.containers': 'The containers of the pod, at least one. Cannot be added or removed.',
  'PodSpec.initContainers':
    'Containers that run before the others, one after the other, each to its end.',
  'PodSpec.volumes': 'Directories that containers can mount.',
  'PodSpec.restartPolicy':
    'When containers that end are started again: Always, OnFailure or Never. Default Always.',
  'PodSpec.terminationGracePeriodSeconds':
    'How long containers may take to end after they were asked to. Default 30.',
  'PodSpec.serviceAccountName':
    'The service account whose identity the pod has. Default `default`.',
  'PodSpec.nodeName': 'The node that the pod runs on.',
  'PodSpec.nodeSelector': 'Labels that the node must have.',
  'PodSpec.imagePullSecrets': 'Secrets with which images are pulled.',
  'PodSpec.securityContext': 'Users, groups and rights for all containers.',
  'Container.name': 'The name of the container, a DNS label, unique in the pod.',
  'Container.image': 'The image to run.',
  'Container.imagePullPolicy':
    'When the image is pulled: Always, Never or IfNotPresent. Default Always for `latest`, else IfNotPresent.',
  'Container.command': 'The program to run, instead of the image\u2019s entrypoint.',
  'Container.args': 'Arguments of the program, instead of the image\u2019s own.',
  'Container.env': 'Environment variables.',
  'Container.envFrom': 'ConfigMaps and Secrets all of whose keys become environment variables.',
  'Container.ports':
    'Ports that the container listens on. What is not listed can be reached as well.',
  'Container.resources': 'CPU and memory that the container may use and should have.',
  'Container.livenessProbe': 'The container is restarted when this check fails.',
  'Container.readinessProbe': 'The container gets requests only while this check succeeds.',
  'Container.startupProbe':
    'Until this check succeeds the other checks wait; when it fails for good the container is restarted.',
  'Container.volumeMounts': 'Where volumes appear in the file system of the container.',
  'Container.workingDir': 'The working directory, instead of the image\u2019s own.',
  'Container.securityContext': 'Users, groups and rights of the container.',
  'Container.lifecycle': 'What is to be done after the start and before the end.',
  'ContainerPort.containerPort': 'The number of the port, 1 to 65535.',
  'ContainerPort.name':
    'A name for the port, unique in the pod; services can refer to it. For Knative: `http1` or `h2c`.',
  'ContainerPort.protocol': 'TCP, UDP or SCTP. Default TCP.',
  'EnvVar.name': 'The name of the variable.',
  'EnvVar.value': 'Its value. `$(NAME)` stands for a variable defined before.',
  'EnvVar.valueFrom': 'Where the value comes from, when it is not given.',
  'ResourceRequirements.limits': 'At most so much, for instance `cpu: 500m`, `memory: 256Mi`.',
  'ResourceRequirements.requests': 'At least so much. Default: the limits.',
  'Probe.httpGet': 'Succeeds when the answer has a status from 200 to 399.',
  'Probe.tcpSocket': 'Succeeds when the port takes a connection.',
  'Probe.exec': 'Succeeds when the command ends with 0.',
  'Probe.grpc': 'Succeeds when the gRPC health service says SERVING.',
  'Probe.periodSeconds': 'How often it is made. Default 10.',
  'Probe.timeoutSeconds': 'How long it may take. Default 1.',
  'Probe.initialDelaySeconds': 'How long to wait before the first time.',
  'Probe.failureThreshold': 'So many failures in a row count as one. Default 3.',
  'Probe.successThreshold':
    'So many successes in a row, after a failure, count as success. Default 1.',
  'DeploymentSpec.replicas': 'How many pods there should be. Default 1.',
  'DeploymentSpec.selector':
    'Chooses the pods. Has to fit the labels of the template. Never changes.',
  'DeploymentSpec.template': 'The pods that are made.',
  'DeploymentSpec.strategy':
    'How old pods are replaced by new ones: RollingUpdate (default) or Recreate.',
  'DeploymentSpec.minReadySeconds':
    'How long a pod has to be ready to count as available. Default 0.',
  'DeploymentSpec.revisionHistoryLimit':
    'How many old ReplicaSets are kept to go back to. Default 10.',
  'DeploymentSpec.progressDeadlineSeconds':
    'A rollout without progress for so long counts as failed. Default 600.',
  'DeploymentSpec.paused': 'True: changes of the template are not rolled out.',
  'ReplicaSetSpec.replicas': 'How many pods there should be. Default 1.',
  'ReplicaSetSpec.selector':
    'Chooses the pods. Has to fit the labels of the template. Never changes.',
  'ReplicaSetSpec.template': 'The pods that are made.',
  'ServiceSpec.selector': 'Labels of the pods behind the service.',
  'ServiceSpec.ports': 'Ports of the service.',
  'ServiceSpec.type': 'ClusterIP (default), NodePort, LoadBalancer or ExternalName.',
  'ServiceSpec.clusterIP': 'The address of the service; `None` for none. Given by the server.',
  'ServiceSpec.externalName': 'The name that a service of type ExternalName stands for.',
  'ServicePort.port': 'The number of the port.',
  'ServicePort.targetPort': 'Number or name of the port of the pods. Default: the same number.',
  'ServicePort.name': 'The name of the port; needed when there are several.',
  'ConfigMap.data': 'Texts by key.',
  'ConfigMap.binaryData': 'Bytes by key, in base64.',
  'ConfigMap.immutable': 'True: the data never changes again.',
  'Secret.data': 'Bytes by key, in base64.',
  'Secret.stringData': 'Texts by key, for writing: they are put into `data`.',
  'Secret.type': 'What the data is for. Default Opaque.',
  'LabelSelector.matchLabels': 'Labels that objects must have.',
  'LabelSelector.matchExpressions': 'Conditions on labels: In, NotIn, Exists, DoesNotExist.',
}

const common: Readonly<Record<string, string>> = {
  apiVersion:
    'The version of the schema in which the object is written: `group/version`, or `v1` for the core group.',
  kind: 'The kind of the object, in CamelCase.',
  metadata: 'Name, namespace, labels, annotations and what the server keeps about the object.',
  spec: 'What is wished for.',
  status: 'What is, as far as the platform knows. Written by the platform.',
}

const shortName = (name: string): string => name.split('.').at(-1) ?? name

/** A sentence about a built-in type; empty when there is none. */
export const describeType = (name: string): string => types[shortName(name)] ?? ''

/** A sentence about a field of a type, by the type's OpenAPI name. */
export function describeField(type: string, field: string): string | undefined {
  if (type === '') return undefined
  const name = `${shortName(type)}.${field}`
  if (Object.hasOwn(fields, name)) return fields[name]
  return Object.hasOwn(common, field) && !type.endsWith('ObjectReference')
    ? common[field]
    : undefined
}
