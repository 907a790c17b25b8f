/** Which containers get a root file system of their own (docs/decisions/014-own-root.md). Pure. */
import { hostRuntimeOf } from '../../../image/manifest.ts'
import type { ContainerSpec, ImageHandle } from '../runtime.ts'

/** An image has its own root unless our builder marked it as one that lives on the machine's programs. */
export const hasOwnRoot = ({ config }: ImageHandle): boolean =>
  config.labels !== undefined && hostRuntimeOf({ labels: config.labels }) === undefined

/** What the pod says goes before what the image is. */
export const wantsOwnRoot = ({ image, ownRoot }: ContainerSpec): boolean =>
  ownRoot ?? hasOwnRoot(image)
