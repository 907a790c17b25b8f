/**
 * Events a second and how long they take: durable ingest over HTTP beside others, from sender to subscriber at a steady
 * rate, to a hundred Triggers, a thousand PingSources and Triggers at rest, and how soon an engine with a million stored
 * events is back. `npm run bench -- events=PART,…` runs parts of it.
 */
import type { Row } from '../row.ts'
import { atRest } from './at-rest.ts'
import { delivered, fannedOut } from './delivery.ts'
import { ingest } from './ingest.ts'
import { recovered } from './recovery.ts'

export interface EventsOptions {
  readonly connections?: number
  /** Of one look. */
  readonly seconds?: number
  readonly rounds?: number
  readonly triggers?: number
  /** As many PingSources as Triggers. */
  readonly atRest?: number
  /** How long they are looked at. */
  readonly restSeconds?: number
  readonly stored?: number
  /** Compare with others; installs them where that is allowed. */
  readonly peers?: boolean
  /** Parts to run; none = all. */
  readonly only?: readonly string[]
}

export async function rows({
  connections = 64,
  seconds = 4,
  rounds = 5,
  triggers = 100,
  atRest: resting = 1000,
  restSeconds = 20,
  stored = 1_000_000,
  peers = true,
  only = [],
}: EventsOptions = {}): Promise<readonly Row[]> {
  const parts: Readonly<Record<string, () => Promise<readonly Row[]>>> = {
    ingest: () => ingest({ connections, seconds, rounds, peers }),
    delivery: () => delivered(seconds),
    'fan-out': () => fannedOut(triggers, seconds),
    rest: () => atRest(resting, restSeconds),
    recovery: () => recovered(stored),
  }
  const unknown = only.filter((name) => !(name in parts))
  if (unknown.length > 0)
    throw new Error(
      `unknown part ${unknown.join(', ')} of events; there are ${Object.keys(parts).join(', ')}`,
    )
  const measured: Row[] = []
  for (const [name, part] of Object.entries(parts))
    if (only.length === 0 || only.includes(name)) measured.push(...(await part()))
  return measured
}
