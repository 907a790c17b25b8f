/** The credentials that the configuration of registries itself gives (`configs.HOST.auth`). */
import type { Registries } from '../../lib/registries.ts'
import { credentialOf, keyring, placeOf, type Keyring } from './credentials.ts'

export const accessKeyring = ({ access }: Registries): Keyring =>
  keyring(
    [...access].flatMap(([host, { auth }]) => {
      const credential =
        auth &&
        credentialOf({
          username: auth.username,
          password: auth.password,
          auth: auth.auth,
          identitytoken: auth.identityToken,
        })
      return credential ? [{ credential, ...placeOf(host) }] : []
    }),
  )
