/** The input can't be made into an image; the message says what was found and what is expected. */
export class BuildError extends Error {
  override readonly name = 'BuildError'
}
