/** The walk-throughs of the book about Serving and Eventing, by platform: several share one, in an order that they can bear. */
import { after, before, describe, test } from 'node:test'
import { hurry, withoutKubectl, type Ebb } from '../platform.ts'
import { autoscalerConfig, concurrencyAndBounds } from './autoscaling.ts'
import { brokerTrigger, cloudEventsSdk, registry } from './events.ts'
import {
  parallel,
  sequenceBroker,
  sequenceCascade,
  sequenceDirect,
  sequenceReply,
} from './flows.ts'
import { healthProbes, helloWorld, nodeSample, runLatest, smallestManifest } from './hello.ts'
import { customDomain, pathAndHeader } from './routing.ts'
import { grpcPing, websocketChat } from './streams.ts'
import { trafficSplit } from './traffic.ts'
import type { Walkthrough } from './walkthrough.ts'
import type { Opener, World } from './world.ts'

export interface Tour {
  readonly domain: string
  /** False = the first that needs short idle times asks for them. */
  readonly hurried: boolean
  readonly walkthroughs: readonly Walkthrough[]
}

export const hellos: Tour = {
  domain: 'knative.kuberun.com',
  hurried: true,
  walkthroughs: [helloWorld, trafficSplit],
}
export const samples: Tour = {
  domain: 'example.com',
  hurried: false,
  walkthroughs: [
    nodeSample,
    smallestManifest,
    healthProbes,
    concurrencyAndBounds,
    autoscalerConfig,
  ],
}
export const routes: Tour = {
  domain: 'example.com',
  hurried: true,
  walkthroughs: [runLatest, customDomain, pathAndHeader],
}
export const streams: Tour = {
  domain: 'knative.kuberun.com',
  hurried: true,
  walkthroughs: [websocketChat, grpcPing],
}
export const events: Tour = {
  domain: 'example.com',
  hurried: false,
  walkthroughs: [
    cloudEventsSdk,
    brokerTrigger,
    registry,
    sequenceDirect,
    sequenceReply,
    sequenceCascade,
    sequenceBroker,
    parallel,
  ],
}
/** Short, and yet of all kinds: another image's shell, one program FROM scratch, HTTP/2, sleep and waking. */
export const few: Tour = {
  domain: 'knative.kuberun.com',
  hurried: true,
  walkthroughs: [smallestManifest, nodeSample, grpcPing],
}
export const book: readonly Tour[] = [hellos, samples, routes, streams, events]

/** Declares a suite: the tours one after the other, all in one world. */
export function walkthroughs(opener: Opener, tours: readonly Tour[]): void {
  describe(`the book on ${opener.name}`, { concurrency: 1 }, () => {
    const skip = withoutKubectl || opener.without()
    let world: World | undefined
    /** Why there is none. */
    let missing: string | undefined
    before(async () => {
      const opened = skip || (await opener.open())
      if (typeof opened === 'string') missing = opened
      else world = opened
    })
    after(() => world?.[Symbol.asyncDispose]())
    for (const { domain, hurried, walkthroughs: all } of tours)
      describe(`on the domain ${domain}`, { skip, concurrency: 1 }, () => {
        let ebb: Ebb | undefined
        const running = (): Ebb => {
          if (!ebb) throw new Error('the platform did not start')
          return ebb
        }
        before(async () => {
          ebb = await world?.start(domain, Object.assign({}, ...all.map(({ images }) => images)))
          if (ebb && hurried) await hurry(ebb)
        })
        after(() => ebb?.[Symbol.asyncDispose]())
        for (const { number, title, walk } of all)
          test(`${number}: ${title}`, { timeout: 240_000 }, (t) =>
            missing === undefined ? walk(running(), domain) : t.skip(missing),
          )
      })
  })
}
