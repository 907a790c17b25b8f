/** What a walk-through is walked in: how a stand-in program gets there under an image's name, and what runs it. */
import { startEbb, type Ebb } from '../platform.ts'
import type { App } from './walkthrough.ts'

export interface World extends AsyncDisposable {
  /** A platform of its own, whose services lie below `domain`, where the images can be had. */
  start(domain: string, images: Readonly<Record<string, App>>): Promise<Ebb>
}

export interface Opener {
  readonly name: string
  /** Says why it can't be opened on this machine; false when it is worth a try. */
  readonly without: () => string | false
  /** The world; or why it can't be opened after all. */
  readonly open: () => Promise<World | string>
}

/** Plain processes: the programs of test/apps as `ebb build` packs them. */
export const plain: Opener = {
  name: 'plain processes',
  without: () => false,
  open: async () => ({
    async start(domain, images) {
      const ebb = await startEbb({ args: ['--domain', domain] })
      for (const [image, app] of Object.entries(images)) await ebb.build(app, image)
      return ebb
    },
    async [Symbol.asyncDispose]() {},
  }),
}
