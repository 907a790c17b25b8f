/** What `ebb event` can be asked: its verbs with their flags and examples, as the help shows them. */
import type { Flag, Verb } from '../command.ts'

type Flags = Readonly<Record<string, Flag>>

const text = (value: string, description: string): Flag => ({ type: 'string', value, description })
const flag = (description: string): Flag => ({ type: 'boolean', description })

const where: Flags = {
  namespace: {
    ...text('NAMESPACE', 'default: that of the kubeconfig, else default'),
    short: 'n',
  },
  broker: text('NAME', 'the Broker that is meant'),
  channel: text('NAME', 'the Channel that is meant'),
  kubeconfig: text('FILE', 'another API than that of the platform in --data-dir'),
}
const everywhere: Flags = {
  ...where,
  'all-namespaces': { ...flag('look at the Brokers and Channels of all namespaces'), short: 'A' },
}
const output: Flags = {
  output: {
    ...text('FORMAT', 'json (a document a line), yaml, or name (the id alone)'),
    short: 'o',
  },
  json: flag('the same as -o json'),
}
const which: Flags = {
  type: text('TYPE', 'only events of this type'),
  source: text('URI', 'only events from this source'),
  filter: text('CESQL', 'only events for which this is true: "subject LIKE \'order-%\'"'),
}
const moments = {
  since: text('TIME', 'only what came since: 90s, 15m, 2h, 3d ago, or 2026-11-21T10:00:00Z'),
  until: text('TIME', 'only what came until then, written likewise'),
} satisfies Flags
const past: Flags = { ...which, ...moments }
const careful: Flags = {
  'dry-run': flag('only count'),
  yes: { ...flag('do not ask'), short: 'y' },
}

export const eventVerbs = {
  send: {
    usage: '[--broker NAME | --channel NAME | --to URL] [FLAGS]',
    summary: 'sends an event and prints its id',
    examples: [
      `ebb event send --type greeting --data '{"hello": "world"}'`,
      'echo hello | ebb event send --broker default --type greeting --data @- --ext region=eu',
      'ebb event send --to http://event-display.default.svc.cluster.local --data hello',
    ],
    flags: {
      ...where,
      to: text('URL', 'send there instead of to a Broker or Channel'),
      id: text('ID', 'its id (default: a new UUID)'),
      type: text('TYPE', 'its type (default: dev.ebb.event)'),
      source: text('URI', 'its source (default: /ebb/event/send)'),
      subject: text('SUBJECT', 'what it is about'),
      account: text(
        'NAME',
        'send it with a token of this ServiceAccount of the namespace, where senders are asked who they are',
      ),
      data: { ...text('TEXT', 'its data; @FILE reads a file, @- stdin'), short: 'd' },
      'content-type': text(
        'TYPE',
        'of the data (default: application/json if it is, else text/plain)',
      ),
      ext: {
        ...text('NAME=VALUE', 'a further attribute (may be repeated)'),
        multiple: true,
      },
    },
  },
  tail: {
    usage: '[FLAGS]',
    summary: 'shows events as they come in, until Ctrl-C',
    examples: [
      'ebb event tail',
      'ebb event tail --type greeting --since 10m',
      `ebb event tail --filter "type LIKE 'greet%'" -o json | jq .event.data`,
    ],
    flags: { ...everywhere, ...which, since: moments.since, ...output },
  },
  list: {
    usage: '[FLAGS]',
    summary: 'shows the last events',
    examples: [
      'ebb event list',
      'ebb event list --since 2h --type greeting --limit 100',
      'ebb event list --all-namespaces -o yaml',
    ],
    flags: {
      ...everywhere,
      id: text('ID', 'only events with this id'),
      ...past,
      limit: text('N', 'the last so many (default 20)'),
      ...output,
    },
  },
  show: {
    usage: 'ID [FLAGS]',
    summary: 'shows an event with its data, and what became of it',
    examples: [
      'ebb event show ID   # the beginning of its id is enough',
      'ebb event show $(ebb event list --limit 1 -o name) -o json | jq .event.data',
    ],
    flags: { ...everywhere, ...moments, ...output },
  },
  trace: {
    usage: 'ID [FLAGS]',
    summary: 'shows who took it, who refused it and why, and the same of all that came of it',
    examples: [
      'ebb event trace ID   # the beginning of its id is enough',
      'ebb event trace $(ebb event list --limit 1 -o name)',
      'ebb event trace $(ebb event list --limit 1 -o name) -o json   # a document an event of the tree',
    ],
    flags: { ...everywhere, ...moments, ...output },
  },
  replay: {
    usage: '(--to-trigger NAME | --to URL) [FLAGS]',
    summary: 'sends events again, to one subscriber and nobody else; counts and asks first',
    examples: [
      'ebb event replay --broker default --since 1h --type greeting --to-trigger greetings',
      'ebb event replay --since 10m --until 1s --to-trigger greetings --dry-run',
      'ebb event replay --limit 1 --to http://event-display.default.svc.cluster.local --yes',
    ],
    flags: {
      ...where,
      'to-trigger': text('NAME', 'the Trigger or Subscription whose subscriber gets them'),
      to: text('URL', 'who gets them instead'),
      id: text('ID', 'only events with this id'),
      ...past,
      limit: text('N', 'only the last so many'),
      ...careful,
      ...output,
    },
  },
  'dead-letters': {
    usage: '[redrive | discard] [N…] [FLAGS]',
    summary: 'shows what nobody took, with the reason; sends it again, or lets it go',
    examples: [
      'ebb event dead-letters',
      'ebb event dead-letters redrive N   # one or more of the numbers that it shows',
      'ebb event dead-letters redrive --trigger greetings --yes',
      "ebb event dead-letters redrive --reason 'answered 503' --dry-run",
      'ebb event dead-letters discard --all --dry-run',
    ],
    flags: {
      ...everywhere,
      trigger: text('NAME', 'only of this Trigger or Subscription'),
      reason: text('TEXT', 'only those whose reason, as it is shown, has this in it'),
      all: flag('redrive, discard: all of them'),
      ...careful,
      ...output,
    },
  },
  backlog: {
    usage: '[FLAGS]',
    summary: 'shows who is behind, by how much and since when, and how full each log is',
    examples: [
      'ebb event backlog',
      'ebb event backlog --all-namespaces',
      'ebb event backlog -o yaml',
    ],
    flags: { ...everywhere, ...output },
  },
} satisfies Readonly<Record<string, Verb>>
