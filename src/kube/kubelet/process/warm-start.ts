/**
 * Which command lines an idle interpreter can become (launcher/warm-interpreter.ts) without anybody telling the
 * difference: plain `node FILE ARGUMENTS` of the very Node that runs Ebb, with an environment of which Node reads nothing
 * before it starts a program. Everything else starts a new process.
 */
import type { WarmStart } from '../launcher/protocol.ts'

/** Node's own flags that have the same effect when they are set later. */
const laterFlags = new Set(['--enable-source-maps'])

/** Read by Node, OpenSSL, ICU, libuv or the C library when the process starts: a program may not name them. */
const startVariables =
  /^(NODE_|UV_|LD_|SSL_|OPENSSL_|MALLOC_|GLIBC_|GCONV_|ICU_|V8_|LC_|RES_|LANG$|LANGUAGE$|TZDIR$|LOCPATH$|LOCALDOMAIN$|HOSTALIASES$|NODE$)/
/** Of those, the ones that do nothing at start, or that the interpreter does itself. */
const laterVariables = new Set([
  'NODE_ENV',
  'NODE_APP_INSTANCE',
  'NODE_CONFIG',
  'NODE_CONFIG_DIR',
  'NODE_CONFIG_ENV',
  'NODE_COMPILE_CACHE',
  'NODE_COMPILE_CACHE_PORTABLE',
  'NODE_DISABLE_COMPILE_CACHE',
  'NODE_VERSION',
  'NODE_TLS_REJECT_UNAUTHORIZED',
])
/** Locales that mean what no locale means. */
const plainLocales = new Set(['', 'C', 'C.UTF-8', 'POSIX', 'en_US', 'en_US.UTF-8'])

/** How to become this command line, without the place; undefined when it takes a process of its own. */
export function warmStart(
  [program, ...words]: readonly string[],
  env: Readonly<Record<string, string>>,
  node: string,
): Omit<WarmStart, 'place'> | undefined {
  if (program !== node) return undefined
  const count = words.findIndex((word) => !word.startsWith('-'))
  const [entry, ...args] = count < 0 ? [] : words.slice(count)
  // `node inspect` is the debugger.
  if (!entry || entry === 'inspect' || words.some((word) => word.includes('\0'))) return undefined
  const execArgv = words.slice(0, count)
  if (!execArgv.every((flag) => laterFlags.has(flag))) return undefined
  if (!Object.entries(env).every(([name, value]) => isLater(name, value))) return undefined
  return { entry, args, execArgv }
}

function isLater(name: string, value: string): boolean {
  if (name.includes('\0') || value.includes('\0')) return false // refused by a fresh start
  if (/^LC_|^LANG$/.test(name)) return plainLocales.has(value)
  return !startVariables.test(name) || laterVariables.has(name)
}
