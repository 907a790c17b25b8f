/** Where an object of Eventing can be reached, and which policies hold for it; spread into a status. */
import { Addressable } from '../../../knative/status.ts'
import { list, object, string } from '../../../kube/api/schema.ts'
import type { Column } from '../../../kube/api/kind.ts'
import type { KubeObject } from '../../../kube/api/meta.ts'

export const addressFields = {
  address: Addressable,
  addresses: list(Addressable, { description: 'All addresses, the preferred one first.' }),
}

export const policyFields = {
  policies: list(object({ apiVersion: string(), name: string() }), {
    description: 'The EventPolicies that hold for this object.',
  }),
}

/** `auth`: the account whose tokens events are sent with. */
export const authFields = {
  auth: object({ serviceAccountName: string(), serviceAccountNames: list(string()) }),
}

interface Addressed extends KubeObject {
  readonly status?: { readonly address?: { readonly url?: string } }
}

export const urlColumn: Column<Addressed> = {
  name: 'URL',
  type: 'string',
  jsonPath: '.status.address.url',
  value: ({ status }) => status?.address?.url,
}

export const ageColumn: Column = {
  name: 'Age',
  type: 'date',
  value: ({ metadata }) => metadata.creationTimestamp,
}
