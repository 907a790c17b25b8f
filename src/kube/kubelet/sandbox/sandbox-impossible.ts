/** A container can't have a root of its own on this machine; the message says why and what helps. */
export class SandboxImpossible extends Error {
  override readonly name = 'SandboxImpossible'
}
