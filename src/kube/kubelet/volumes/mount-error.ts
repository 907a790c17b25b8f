/** A volume that can't be set up (yet): retried; the message is that of the event FailedMount. */
export class MountError extends Error {
  override readonly name = 'MountError'
}

/** The kubelet's words. */
export const mountFailed = (volume: { readonly name: string }, why: string): MountError =>
  new MountError(`MountVolume.SetUp failed for volume "${volume.name}" : ${why}`)
