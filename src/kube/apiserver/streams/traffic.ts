/** What the HTTP front hands over because it is neither stored nor JSON: streams into pods, and requests to programs. */
import { badRequest } from '../../api/status-error.ts'
import type { AnswerUpgrade } from '../access/upgrade.ts'
import type { AnswerStream } from '../http/resource-endpoint.ts'
import { proxyRequest, proxyUpgrade } from './proxy.ts'
import type { TargetDeps } from './proxy-target.ts'
import { answerUpgrades } from './upgrades.ts'

const upgradeOnly = new Set(['exec', 'attach', 'portforward'])

export function podTraffic(deps: TargetDeps): {
  readonly upgrades: AnswerUpgrade
  readonly answerStream: AnswerStream
} {
  return {
    upgrades: answerUpgrades({ ...deps, proxy: proxyUpgrade(deps) }),
    answerStream(call) {
      const { group, resource, subresource, name } = call.path
      if (group !== '' || name === '') return undefined
      if (resource === 'pods' && upgradeOnly.has(subresource))
        throw badRequest('Upgrade request required')
      const isProxied = resource === 'pods' || resource === 'services' || resource === 'nodes'
      return isProxied && subresource === 'proxy' ? proxyRequest(call, deps) : undefined
    },
  }
}
