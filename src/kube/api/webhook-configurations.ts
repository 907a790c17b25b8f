/** Webhooks that admission asks: MutatingWebhookConfiguration and ValidatingWebhookConfiguration. */
import type {
  MutatingWebhookConfiguration as MutatingType,
  ValidatingWebhookConfiguration as ValidatingType,
} from 'kubernetes-types/admissionregistration/v1.js'
import { ageColumn, nameColumn } from './columns.ts'
import type { KindDefinition } from './kind.ts'
import { webhookProblems, withWebhookDefaults } from './webhook-problems.ts'
import { builtin } from './schema.ts'
import type { Stored } from './stored.ts'
import { refuseInvalid } from './validation.ts'

export type MutatingWebhookConfiguration = Stored<MutatingType>
export type ValidatingWebhookConfiguration = Stored<ValidatingType>
export type MutatingWebhook = NonNullable<MutatingWebhookConfiguration['webhooks']>[number]
export type ValidatingWebhook = NonNullable<ValidatingWebhookConfiguration['webhooks']>[number]

const shared = {
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  namespaced: false,
  categories: ['api-extensions'],
  flavour: 'builtin',
  hasStatus: false,
  hasGeneration: true,
} as const

const columns = [
  nameColumn,
  {
    name: 'Webhooks',
    type: 'integer',
    description: 'How many webhooks it names.',
    value: ({ webhooks = [] }: { readonly webhooks?: readonly unknown[] }) => webhooks.length,
  },
  ageColumn,
] as const

export const MutatingWebhookConfiguration: KindDefinition<MutatingWebhookConfiguration> = {
  ...shared,
  kind: 'MutatingWebhookConfiguration',
  plural: 'mutatingwebhookconfigurations',
  singular: 'mutatingwebhookconfiguration',
  description:
    'A MutatingWebhookConfiguration names webhooks that may change objects as they are written.',
  schema: builtin('io.k8s.api.admissionregistration.v1.MutatingWebhookConfiguration'),
  columns,
  admit(given) {
    const filled = withWebhookDefaults(given, { reinvocationPolicy: 'Never' })
    return refuseInvalid(MutatingWebhookConfiguration, filled, webhookProblems(filled))
  },
}

export const ValidatingWebhookConfiguration: KindDefinition<ValidatingWebhookConfiguration> = {
  ...shared,
  kind: 'ValidatingWebhookConfiguration',
  plural: 'validatingwebhookconfigurations',
  singular: 'validatingwebhookconfiguration',
  description:
    'A ValidatingWebhookConfiguration names webhooks that may refuse objects as they are written.',
  schema: builtin('io.k8s.api.admissionregistration.v1.ValidatingWebhookConfiguration'),
  columns,
  admit(given) {
    const filled = withWebhookDefaults(given, {})
    return refuseInvalid(ValidatingWebhookConfiguration, filled, webhookProblems(filled))
  },
}
