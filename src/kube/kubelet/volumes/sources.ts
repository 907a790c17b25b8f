/**
 * Who is to hear when a ConfigMap or Secret changes: pods that see it as files. Looked up by the object's name, so that
 * thousands of pods cost a change nothing.
 */
import { ConfigMap } from '../../api/config-map.ts'
import type { KubeObject } from '../../api/meta.ts'
import { Secret } from '../../api/secret.ts'
import type { Informers } from '../../client/informer.ts'
import type { Volume } from './projected-files.ts'

export interface VolumeSources extends Disposable {
  /** Calls back each time an object changes that one of the volumes is made of. */
  follow(namespace: string, volumes: readonly Volume[], changed: () => void): Disposable
}

export function volumeSources(informers: Informers): VolumeSources {
  const followers = new Map<string, Set<() => void>>()
  const tell = (kind: string, { metadata: { namespace = '', name } }: KubeObject) => {
    for (const changed of followers.get(`${kind}/${namespace}/${name}`) ?? []) changed()
  }
  const subscriptions = new DisposableStack()
  subscriptions.use(informers.for(ConfigMap).subscribe((_, object) => tell('ConfigMap', object)))
  subscriptions.use(informers.for(Secret).subscribe((_, object) => tell('Secret', object)))
  return {
    follow(namespace, volumes, changed) {
      const keys = new Set(
        volumes.flatMap(referencesOf).map(([kind, name]) => `${kind}/${namespace}/${name}`),
      )
      for (const key of keys) {
        const known = followers.get(key)
        if (known) known.add(changed)
        else followers.set(key, new Set([changed]))
      }
      return {
        [Symbol.dispose]() {
          for (const key of keys) {
            const known = followers.get(key)
            known?.delete(changed)
            if (known?.size === 0) followers.delete(key)
          }
        },
      }
    },
    [Symbol.dispose]: () => subscriptions.dispose(),
  }
}

type Reference = readonly ['ConfigMap' | 'Secret', string]

const referencesOf = (volume: Volume): Reference[] =>
  [volume, ...(volume.projected?.sources ?? [])].flatMap(({ configMap, secret }): Reference[] => {
    if (configMap?.name) return [['ConfigMap', configMap.name]]
    const name =
      secret && ('secretName' in secret ? secret.secretName : 'name' in secret ? secret.name : '')
    return name ? [['Secret', name]] : []
  })

/** True when the pod's own fields are among its files. */
export const showsPod = (volume: Volume): boolean =>
  Boolean(volume.downwardAPI ?? volume.projected?.sources?.some(({ downwardAPI }) => downwardAPI))
