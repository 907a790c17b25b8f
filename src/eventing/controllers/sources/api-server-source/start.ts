/** Starts what follows objects for ApiServerSources, of today's group and of that of 2019. */
import { randomUUID } from 'node:crypto'
import { startController, type ControllerDeps } from '../../../../kube/controller/loop.ts'
import type { Kind, UserInfo } from '../../../../kube/api/kind.ts'
import type { Client } from '../../../../kube/client/client.ts'
import { ApiServerSource, apiServerEventTypes } from '../../../api/sources/api-server-source.ts'
import {
  apiServerSourceAsToday,
  asApiServerSource,
  FormerApiServerSource,
  KubernetesEventSource,
  kubernetesEventType,
} from '../../../api/former/former-sources.ts'
import type { Source } from '../../../api/duck/source-spec.ts'
import { createSender } from '../../../broker/delivery/sender.ts'
import { createFollowers } from '../../../sources/api-server/follow.ts'
import { tellTo } from '../../../sources/api-server/tell.ts'
import { trustBundle } from '../../transport/trust-bundle.ts'
import { identityName } from '../../identity/identity.ts'
import type { Tokens } from '../../identity/tokens.ts'
import { featuresIn } from '../../../api/config/read.ts'
import { dialOf, type DialWorld } from '../../destination/dial.ts'
import { overrides } from '../ping-source/ping-config.ts'
import { isResolved } from '../../destination/resolver.ts'
import { apiServerSourceReconciler, apiServerUrl, type Form } from './api-server-source.ts'

export interface FollowingDeps extends ControllerDeps {
  /** Requests come from this user. */
  readonly clientAs: (user: UserInfo) => Client
  readonly dialWorld: () => DialWorld
  readonly tokens: Pick<Tokens, 'of'>
}

const accountOf = (kind: Kind, { metadata }: ApiServerSource): string =>
  `${metadata.namespace ?? ''}/${identityName(kind, metadata.name)}`

const same = (source: ApiServerSource): ApiServerSource => source

const byMode = ({ spec }: ApiServerSource): readonly string[] => apiServerEventTypes(spec.mode)

export function startApiServerSources(deps: FollowingDeps): AsyncDisposable {
  const { clock, log, recorder, informers, clientAs, dialWorld, tokens } = deps
  const started = new AsyncDisposableStack()
  const sender = started.use(
    createSender({
      clock,
      trusted: () => trustBundle(read),
      authorization({ account = '', audience }) {
        if (audience === undefined) return undefined
        const [namespace = '', name = ''] = account.split('/')
        const token = tokens.of({ account: { namespace, name }, audience })
        return token === undefined
          ? { problem: `there is no token of ServiceAccount ${account} for ${audience} yet` }
          : { header: `Bearer ${token}` }
      },
    }),
  )
  const followers = started.use(createFollowers({ clientAs, clock, log }))
  const read = informers.reader()
  const start = <T extends Source>(form: Form<T>) => {
    const { kind } = form
    const reconciler = apiServerSourceReconciler(form, {
      followers,
      tell: (source, sink) =>
        tellTo(
          {
            about: source,
            mode: source.spec.mode ?? '',
            kubernetesEvents: kind.kind === KubernetesEventSource.kind,
            apiUrl: apiServerUrl,
            owner: source.spec.owner,
            filters: source.spec.filters,
            overrides: overrides(source.spec.ceOverrides),
            sink() {
              const url = isResolved(sink) ? sink.url : ''
              const dial = dialOf(url, read, dialWorld())
              return {
                url,
                ...(dial && { dial }),
                ...(isResolved(sink) && sink.caCerts && { caCerts: sink.caCerts }),
                ...(isResolved(sink) &&
                  sink.audience !== undefined && {
                    audience: sink.audience,
                    ...(featuresIn(read).authenticationOidc && {
                      account: accountOf(kind, source),
                    }),
                  }),
              }
            },
          },
          {
            sender,
            clock,
            log,
            newId: randomUUID,
            lost: (about, reason) =>
              recorder.event(
                about,
                {
                  type: 'Warning',
                  reason: 'EventLost',
                  message: `an event was not delivered: ${reason}`,
                },
                { component: 'apiserversource-controller' },
              ),
          },
        ),
    })
    started.use(startController(reconciler, deps))
  }
  start({ kind: ApiServerSource, modern: same, types: byMode })
  start({ kind: FormerApiServerSource, modern: apiServerSourceAsToday, types: byMode })
  start({
    kind: KubernetesEventSource,
    modern: asApiServerSource,
    types: () => [kubernetesEventType],
  })
  return started
}
