import assert from 'node:assert/strict'
import { test } from 'node:test'
import { channelTemplateIn, templateKey } from './br-channel.ts'

const problemOf = (text: string) => {
  const found = channelTemplateIn({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'c', namespace: 'ns' },
    data: { [templateKey]: text },
  })
  return 'problem' in found ? found.problem : undefined
}

test('what is wrong with a template is said in one line: it goes into a condition', () => {
  assert.match(
    problemOf('{') ?? '',
    /^ConfigMap ns\/c: channel-template-spec is no YAML: .* at line 1, column 2$/,
  )
  assert.match(problemOf('kind: InMemoryChannel') ?? '', /needs apiVersion and kind$/)
  assert.equal(problemOf('apiVersion: messaging.knative.dev/v1\nkind: InMemoryChannel'), undefined)
})
