import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Service } from '../../api/service.ts'
import { serviceEnv } from './service-env.ts'

const service = (name: string, spec: Service['spec'], namespace = 'default'): Service => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace },
  spec,
})

test('services are variables; the API server is where pods reach it', () => {
  const services = [
    service('my-db', {
      clusterIP: '10.96.0.9',
      ports: [
        { name: 'sql', port: 5432, protocol: 'TCP' },
        { name: 'dns', port: 53, protocol: 'UDP' },
      ],
    }),
    service('headless', { clusterIP: 'None', ports: [{ port: 1 }] }),
    service('kubernetes', { clusterIP: '10.96.0.1', ports: [{ port: 443 }] }),
  ]
  assert.deepEqual(serviceEnv(services, { host: '10.88.0.1', port: 6443 }), {
    MY_DB_SERVICE_HOST: '10.96.0.9',
    MY_DB_SERVICE_PORT: '5432',
    MY_DB_SERVICE_PORT_SQL: '5432',
    MY_DB_SERVICE_PORT_DNS: '53',
    MY_DB_PORT: 'tcp://10.96.0.9:5432',
    MY_DB_PORT_5432_TCP: 'tcp://10.96.0.9:5432',
    MY_DB_PORT_5432_TCP_PROTO: 'tcp',
    MY_DB_PORT_5432_TCP_PORT: '5432',
    MY_DB_PORT_5432_TCP_ADDR: '10.96.0.9',
    MY_DB_PORT_53_UDP: 'udp://10.96.0.9:53',
    MY_DB_PORT_53_UDP_PROTO: 'udp',
    MY_DB_PORT_53_UDP_PORT: '53',
    MY_DB_PORT_53_UDP_ADDR: '10.96.0.9',
    KUBERNETES_SERVICE_HOST: '10.88.0.1',
    KUBERNETES_SERVICE_PORT: '6443',
    KUBERNETES_SERVICE_PORT_HTTPS: '6443',
    KUBERNETES_PORT: 'tcp://10.88.0.1:6443',
    KUBERNETES_PORT_6443_TCP: 'tcp://10.88.0.1:6443',
    KUBERNETES_PORT_6443_TCP_PROTO: 'tcp',
    KUBERNETES_PORT_6443_TCP_PORT: '6443',
    KUBERNETES_PORT_6443_TCP_ADDR: '10.88.0.1',
  })
  assert.deepEqual(serviceEnv([], undefined), {})
})
