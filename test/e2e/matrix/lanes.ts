/** Runs tasks in the order given, some at a time. */
export async function inLanes(
  count: number,
  tasks: readonly (() => Promise<unknown>)[],
): Promise<void> {
  const left = tasks.values()
  const lane = async (): Promise<void> => {
    for (const task of left) await task()
  }
  await Promise.all(Array.from({ length: count }, lane))
}
