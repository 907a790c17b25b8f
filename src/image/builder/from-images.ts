/** Images that a Dockerfile begins with, as far as they can be known without running it (Dockerfile reference: FROM, ARG). */

/** Each once, in order; none for stages and `scratch`. Names with variables that nothing gives a value are left out. */
export function fromImages(
  dockerfile: string,
  buildArgs: Readonly<Record<string, string>> = {},
): readonly string[] {
  const values: Record<string, string> = {}
  const stages = new Set<string>()
  const found = new Set<string>()
  let isFirst = true
  for (const line of dockerfile.replaceAll(/\\\r?\n/g, ' ').split(/\r?\n/)) {
    const [word = '', ...rest] = line.trim().split(/\s+/)
    const instruction = word.toUpperCase()
    if (instruction === 'ARG' && isFirst) {
      for (const item of rest) {
        const [name = '', ...value] = item.split('=')
        const given = buildArgs[name] ?? value.join('=').replace(/^(['"])(.*)\1$/, '$2')
        if (given !== '') values[name] = given
      }
    }
    if (instruction !== 'FROM') continue
    isFirst = false
    const [image = '', as = '', stage = ''] = rest.filter((item) => !item.startsWith('--'))
    const name = image.replaceAll(
      /\$(?:\{(\w+)(?::-([^}]*))?\}|(\w+))/g,
      (text, braced: string | undefined, fallback: string | undefined, plain: string | undefined) =>
        values[braced ?? plain ?? ''] ?? fallback ?? text,
    )
    if (!stages.has(name.toLowerCase()) && name !== 'scratch' && !/[$]|^$/.test(name))
      found.add(name)
    if (as.toLowerCase() === 'as') stages.add(stage.toLowerCase())
  }
  return [...found]
}
