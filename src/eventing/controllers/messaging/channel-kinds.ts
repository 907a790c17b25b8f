/** Channel kinds that are served here; others are for those that serve them. */
import type { Kind } from '../../../kube/api/kind.ts'
import type { ChannelTemplate } from '../../api/duck/channelable.ts'
import { InMemoryChannel } from '../../api/messaging/in-memory-channel.ts'
import { referredKind } from '../destination/resolver.ts'

export const channelKinds: readonly Kind[] = [InMemoryChannel]

/** The kind that a template makes, in whatever version it names it. */
export const templateKind = (template: ChannelTemplate | undefined): Kind | undefined =>
  template && referredKind(template, channelKinds)

/** Why there is none, for people. */
export const noChannelKind = (template: ChannelTemplate | undefined): string =>
  `there is no channel kind ${template?.kind ?? ''} of ${template?.apiVersion ?? ''} here: ${channelKinds.map(({ kind }) => kind).join(', ')} can be had`
