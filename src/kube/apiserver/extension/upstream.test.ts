/** Definitions in the shapes of well-known projects: certificates, gateways, serving, autoscaled node pools. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inMemoryPlatform } from '../../../testing/platform.ts'
import { SimClock } from '../../../testing/sim-clock.ts'
import { CustomResourceDefinition } from '../../api/custom-resource-definition.ts'
import type { Kind } from '../../api/kind.ts'
import { coreKinds } from '../../api/kinds.ts'
import type { UnknownObject } from '../../api/meta.ts'
import { StatusError } from '../../api/status-error.ts'

type Fields = Readonly<Record<string, unknown>>

interface Shape {
  readonly kind: Kind<UnknownObject>
  readonly spec: Fields
  readonly valid: readonly Fields[]
  /** With what the refusal says. */
  readonly invalid: readonly (readonly [Fields, RegExp])[]
}

const kind = (name: string, plural: string, group: string): Kind<UnknownObject> => ({
  group,
  version: 'v1',
  kind: name,
  plural,
  namespaced: true,
})

const duration = { type: 'string', pattern: '^([0-9]{1,5}(h|m|s|ms)){1,4}$' }
const dnsName = {
  type: 'string',
  minLength: 1,
  maxLength: 253,
  pattern: '^(\\*\\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$',
}
const conditions = {
  type: 'array',
  maxItems: 8,
  'x-kubernetes-list-type': 'map',
  'x-kubernetes-list-map-keys': ['type'],
  items: {
    type: 'object',
    required: ['type', 'status'],
    properties: {
      type: { type: 'string' },
      status: { type: 'string', enum: ['True', 'False', 'Unknown'] },
      lastTransitionTime: { type: 'string', format: 'date-time' },
    },
  },
}
const secretRef = {
  type: 'object',
  required: ['name'],
  properties: { name: { type: 'string' }, key: { type: 'string', default: 'tls.key' } },
}
const quantity = {
  'x-kubernetes-int-or-string': true,
  anyOf: [{ type: 'integer' }, { type: 'string' }],
  pattern:
    '^(\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\\+|-)?(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))))?$',
}

const shapes: readonly Shape[] = [
  {
    kind: kind('Issuer', 'issuers', 'certs.example.io'),
    spec: {
      type: 'object',
      properties: {
        acme: {
          type: 'object',
          required: ['server', 'privateKeySecretRef'],
          properties: {
            server: { type: 'string', format: 'uri' },
            privateKeySecretRef: secretRef,
            solvers: {
              type: 'array',
              items: {
                type: 'object',
                properties: {
                  http01: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
                  dns01: {
                    type: 'object',
                    properties: {
                      webhook: {
                        type: 'object',
                        properties: { config: { 'x-kubernetes-preserve-unknown-fields': true } },
                      },
                    },
                  },
                },
              },
            },
          },
        },
        selfSigned: {
          type: 'object',
          properties: { crl: { type: 'array', items: { type: 'string' } } },
        },
        ca: {
          type: 'object',
          required: ['secretName'],
          properties: { secretName: { type: 'string' } },
        },
      },
      oneOf: [{ required: ['acme'] }, { required: ['selfSigned'] }, { required: ['ca'] }],
    },
    valid: [
      { selfSigned: {} },
      {
        acme: {
          server: 'https://acme.example.com/directory',
          privateKeySecretRef: { name: 'key' },
          solvers: [
            { http01: { anything: [1] } },
            { dns01: { webhook: { config: { deep: { er: true } } } } },
          ],
        },
      },
    ],
    invalid: [
      [
        {},
        /spec: Invalid value: "": "spec" must validate one and only one schema \(oneOf\). Found none valid/,
      ],
      [{ selfSigned: {}, ca: { secretName: 'x' } }, /Found 2 valid alternatives/],
      [
        { acme: { server: 'not a uri', privateKeySecretRef: {} } },
        /privateKeySecretRef.name: Required value/,
      ],
    ],
  },
  {
    kind: kind('Gate', 'gates', 'gates.example.io'),
    spec: {
      type: 'object',
      required: ['listeners'],
      properties: {
        listeners: {
          type: 'array',
          minItems: 1,
          maxItems: 64,
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['name'],
          items: {
            type: 'object',
            required: ['name', 'port', 'protocol'],
            properties: {
              name: dnsName,
              hostname: dnsName,
              port: { type: 'integer', format: 'int32', minimum: 1, maximum: 65535 },
              protocol: {
                type: 'string',
                maxLength: 255,
                pattern: '^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$',
              },
              timeout: duration,
              allowed: {
                type: 'object',
                default: { from: 'Same' },
                properties: { from: { type: 'string', default: 'Same', enum: ['All', 'Same'] } },
              },
              tls: {
                type: 'object',
                properties: {
                  mode: {
                    type: 'string',
                    default: 'Terminate',
                    enum: ['Terminate', 'Passthrough'],
                  },
                  certificateRefs: { type: 'array', maxItems: 64, items: secretRef },
                },
                'x-kubernetes-validations': [
                  {
                    rule: `self.mode == 'Terminate' ? has(self.certificateRefs) && size(self.certificateRefs) > 0 : true`,
                    message: 'certificateRefs must be there when mode is Terminate',
                  },
                ],
              },
            },
          },
          'x-kubernetes-validations': [
            {
              rule: `self.all(l, l.protocol in ['HTTP', 'TCP'] ? !has(l.tls) : true)`,
              message: 'tls must not be there for HTTP and TCP',
            },
            {
              rule: 'self.all(a, self.exists_one(b, a.port == b.port && a.protocol == b.protocol && (has(a.hostname) && has(b.hostname) ? a.hostname == b.hostname : !has(a.hostname) && !has(b.hostname))))',
              message: 'port, protocol and hostname together must be unique',
            },
          ],
        },
      },
    },
    valid: [
      { listeners: [{ name: 'a', port: 80, protocol: 'HTTP', timeout: '1m30s' }] },
      {
        listeners: [
          { name: 'a', port: 80, protocol: 'HTTP' },
          {
            name: 'b',
            port: 443,
            protocol: 'HTTPS',
            hostname: '*.example.com',
            tls: { certificateRefs: [{ name: 'x' }] },
          },
        ],
      },
    ],
    invalid: [
      [
        { listeners: [] },
        /spec.listeners: Invalid value: \[\]: spec.listeners in body should have at least 1 items/,
      ],
      [
        { listeners: [{ name: 'a', port: 80, protocol: 'HTTP', tls: { mode: 'Passthrough' } }] },
        /spec.listeners: Invalid value: "array": tls must not be there for HTTP and TCP/,
      ],
      [
        {
          listeners: [
            { name: 'a', port: 80, protocol: 'HTTP' },
            { name: 'b', port: 80, protocol: 'HTTP' },
          ],
        },
        /together must be unique/,
      ],
      [
        { listeners: [{ name: 'a', port: 443, protocol: 'HTTPS', tls: {} }] },
        /spec.listeners\[0\].tls: Invalid value: "object": certificateRefs must be there/,
      ],
      [
        { listeners: [{ name: 'A_', port: 0, protocol: 'HTTP' }] },
        /listeners\[0\].name.*should match.*listeners\[0\].port: Invalid value: 0/,
      ],
    ],
  },
  {
    kind: kind('Pool', 'pools', 'pools.example.io'),
    spec: {
      type: 'object',
      properties: {
        weight: { type: 'integer', minimum: 1, maximum: 100 },
        limits: { type: 'object', additionalProperties: quantity },
        expireAfter: { type: 'string', default: '720h', pattern: '^(([0-9]+(s|m|h))+)|(Never)$' },
        template: {
          type: 'object',
          'x-kubernetes-embedded-resource': true,
          'x-kubernetes-preserve-unknown-fields': true,
        },
        requirements: {
          type: 'array',
          maxItems: 100,
          items: {
            type: 'object',
            required: ['key', 'operator'],
            properties: {
              key: {
                type: 'string',
                maxLength: 316,
                'x-kubernetes-validations': [
                  {
                    rule: `self != 'kubernetes.io/hostname'`,
                    message: 'label "kubernetes.io/hostname" is restricted',
                  },
                  {
                    rule: `self in ['example.io/zone', 'example.io/arch'] || !self.find('^([^/]+)').endsWith('example.io')`,
                    message: 'label domain "example.io" is restricted',
                  },
                ],
              },
              operator: { type: 'string', enum: ['In', 'NotIn', 'Gt'] },
              values: { type: 'array', items: { type: 'string' } },
            },
          },
          'x-kubernetes-validations': [
            {
              rule: `self.all(x, x.operator == 'In' ? x.values.size() != 0 : true)`,
              message: `requirements with operator 'In' must have a value`,
            },
            {
              rule: `self.all(x, x.operator == 'Gt' ? (x.values.size() == 1 ? int(x.values[0]) >= 0 : false) : true)`,
              message: 'Gt needs one positive integer',
            },
          ],
        },
      },
    },
    valid: [
      {
        weight: 5,
        limits: { cpu: 1000, memory: '1000Gi', 'example.io/gpu': '2' },
        requirements: [
          { key: 'example.io/zone', operator: 'In', values: ['a'] },
          { key: 'node.example.com/cpu', operator: 'Gt', values: ['4'] },
        ],
        template: {
          apiVersion: 'v1',
          kind: 'ConfigMap',
          metadata: { labels: { a: 'b' } },
          data: { x: 'y' },
        },
      },
    ],
    invalid: [
      [
        { limits: { cpu: 'lots' } },
        /spec.limits.cpu: Invalid value: "lots": spec.limits.cpu in body should match/,
      ],
      [
        { requirements: [{ key: 'example.io/other', operator: 'In', values: ['a'] }] },
        /label domain "example.io" is restricted/,
      ],
      [{ requirements: [{ key: 'a', operator: 'In', values: [] }] }, /must have a value/],
      [
        { requirements: [{ key: 'a', operator: 'Gt', values: ['-1'] }] },
        /Gt needs one positive integer/,
      ],
      [{ expireAfter: 'soon' }, /spec.expireAfter in body should match/],
      [{ template: { kind: 'X' } }, /spec.template.apiVersion: Required value/],
    ],
  },
]

const definition = ({
  kind: { group, kind: name, plural },
  spec,
}: Shape): CustomResourceDefinition =>
  ({
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: {
      name: `${plural}.${group}`,
      annotations: { 'controller-gen.kubebuilder.io/version': 'v0.16.1' },
      creationTimestamp: null,
    },
    spec: {
      group,
      scope: 'Namespaced',
      names: {
        categories: ['all'],
        kind: name,
        listKind: `${name}List`,
        plural,
        singular: name.toLowerCase(),
      },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: [
            {
              jsonPath: `.status.conditions[?(@.type == "Ready")].status`,
              name: 'Ready',
              type: 'string',
            },
            { jsonPath: '.metadata.creationTimestamp', name: 'Age', type: 'date' },
          ],
          schema: {
            openAPIV3Schema: {
              description: 'As generators write it.',
              type: 'object',
              required: ['spec'],
              properties: {
                apiVersion: { type: 'string', description: 'The version.' },
                kind: { type: 'string' },
                metadata: { type: 'object' },
                spec,
                status: { type: 'object', properties: { conditions } },
              },
            },
          },
        },
      ],
    },
  }) as unknown as CustomResourceDefinition

for (const shape of shapes)
  test(`${shape.kind.kind}: taken without a warning; what it allows and refuses`, async () => {
    await using world = inMemoryPlatform({ kinds: coreKinds, clock: new SimClock() })
    const { client, api } = world
    const { code, warnings } = await api.handle({
      verb: 'create',
      group: 'apiextensions.k8s.io',
      version: 'v1',
      resource: 'customresourcedefinitions',
      options: { fieldValidation: 'Strict' },
      user: { username: 'me', groups: ['system:masters'] },
      durable: true,
      body: definition(shape),
    })
    assert.deepEqual([code, warnings], [201, undefined])
    const { group, version, kind: name } = shape.kind
    const object = (spec: Fields, at: number): UnknownObject => ({
      apiVersion: `${group}/${version}`,
      kind: name,
      metadata: { name: `x${at}`, namespace: 'default' },
      spec,
    })
    for (const [i, spec] of shape.valid.entries()) {
      const made = await client.create(shape.kind, object(spec, i))
      const status = { conditions: [{ type: 'Ready', status: 'True' }] }
      await client.updateStatus(shape.kind, { ...made, status } as UnknownObject)
    }
    for (const [spec, message] of shape.invalid)
      await assert.rejects(client.create(shape.kind, object(spec, 99)), (thrown: unknown) => {
        assert.ok(thrown instanceof StatusError)
        assert.match(thrown.message, message)
        return true
      })
  })
