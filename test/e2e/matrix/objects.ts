/** Objects that rows of the matrix read, made once in a namespace that all versions share. */

/** A pod that runs one of the machine's programs. */
export const pod = (name: string, command: readonly string[], more = ''): string => `---
apiVersion: v1
kind: Pod
metadata: {name: ${name}, labels: {app: ${name}}}
spec:
  terminationGracePeriodSeconds: 1
  ${more || 'restartPolicy: Never'}
  containers:
  - name: c
    image: hello
    command: ${JSON.stringify(command)}
`

export const deployment = (name: string, replicas = 1): string => `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}, labels: {app: ${name}}, annotations: {kubernetes.io/change-cause: first}}
spec:
  replicas: ${replicas}
  selector: {matchLabels: {app: ${name}}}
  template:
    metadata: {labels: {app: ${name}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: c, image: hello, command: [sleep, "1000"], ports: [{containerPort: 8080}]}]
`

export const definition = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.shop.example.com}
spec:
  group: shop.example.com
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, shortNames: [wd], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    additionalPrinterColumns: [{name: Size, type: integer, jsonPath: .spec.size}]
    subresources: {status: {}, scale: {specReplicasPath: .spec.size, statusReplicasPath: .status.size}}
    schema:
      openAPIV3Schema:
        type: object
        description: A Widget of the shop.
        properties:
          spec:
            type: object
            properties: {size: {type: integer, minimum: 0, description: How large it is.}, color: {type: string}}
          status: {type: object, properties: {size: {type: integer}}}
`

export const widget = (name: string): string => `---
apiVersion: shop.example.com/v1
kind: Widget
metadata: {name: ${name}}
spec: {size: 3, color: red}
`

export const shop = `apiVersion: v1
kind: ConfigMap
metadata: {name: a, labels: {app: web, tier: one}}
data: {k: one}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: b, labels: {app: web, tier: two}}
data: {k: two, l: three}
---
apiVersion: v1
kind: Secret
metadata: {name: s}
stringData: {password: hidden}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: hello, command: [sh, -c, "echo done once"]}]}}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: tick}
spec:
  schedule: "0 0 1 1 *"
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: hello, command: ["true"]}]}}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: c, image: hello, command: [sleep, "1000"]}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {containers: [{name: c, image: hello, command: [sleep, "1000"]}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: in}
spec:
  ingressClassName: nobody
  rules: [{host: shop.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: closed}
spec: {podSelector: {matchLabels: {app: nobody}}, policyTypes: [Ingress]}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 1
  maxReplicas: 1
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {minAvailable: 1, selector: {matchLabels: {app: web}}}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: plenty}
spec: {hard: {configmaps: "100"}}
---
apiVersion: v1
kind: LimitRange
metadata: {name: limits}
spec: {limits: [{type: Container, max: {cpu: 20m}}]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: disk}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: default}]
${deployment('web')}${widget('w')}${pod('logger', ['sh', '-c', 'for i in 1 2 3 4; do echo line $i; done; exec sleep 1000'])}${pod('twice', ['sh', '-c', 'echo before; sleep 0.2; exit 1'], 'restartPolicy: Always')}`
