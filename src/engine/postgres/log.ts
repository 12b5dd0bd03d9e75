/** What the engine said last: why it ended, for people. */
import { open, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'

/** What the engine says before its log collector runs. Emptied at each start. */
export const startupLog = (folder: string): string => join(folder, 'startup.log')

const LOG_FILE = /^postgresql\.log\./
const TAIL_BYTES = 64 * 1024
/** RDS's default for `rds.log_retention_period`. */
const KEEP_LOGS_MS = 3 * 86_400_000

async function tail(path: string): Promise<string[]> {
  const file = await open(path).catch(() => undefined)
  if (file === undefined) return []
  try {
    const { size } = await file.stat()
    const length = Math.min(size, TAIL_BYTES)
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length)
    return buffer.toString('utf8', 0, bytesRead).split('\n')
  } finally {
    await file.close()
  }
}

async function newestLog(folder: string): Promise<string | undefined> {
  const names = await readdir(folder).catch(() => [])
  // Their names sort by time.
  const name = names
    .filter((each) => LOG_FILE.test(each))
    .sort()
    .at(-1)
  return name === undefined ? undefined : join(folder, name)
}

/** A line of the engine's own processes has no host, user or database in its prefix (`settings.ts`). */
const COLLECTED = [/\bPANIC: +(.*)/, /\bLOG: +(.* was terminated by signal .*)/, /::@:.*\bFATAL: +(.*)/]
const STARTUP = [
  /\b(?:PANIC|FATAL): +(.*)/,
  /error while loading shared libraries: (.*)/,
  /^(?:setpriv|postgres): (.*)/,
]

/** The last line that the most telling pattern has: what it says, without time and place. */
export function tellingLine(lines: readonly string[], patterns: readonly RegExp[] = COLLECTED): string | undefined {
  for (const pattern of patterns) {
    const said = pattern.exec(lines.findLast((line) => pattern.test(line)) ?? '')?.[1]
    if (said !== undefined) return said.trim()
  }
  return undefined
}

/** Lines since a time. Those without a time of their own belong to the one before. */
export function linesSince(lines: readonly string[], sinceMs: number): readonly string[] {
  const since = new Date(sinceMs).toISOString().replace('T', ' ').slice(0, -1)
  const first = lines.findIndex((line) => /^\d{4}-/.test(line) && line.slice(0, since.length) >= since)
  return first < 0 ? [] : lines.slice(first)
}

/** Why the engine that was started at `sinceMs` ended, as far as it told. */
export async function lastWords(folder: string, sinceMs: number): Promise<string | undefined> {
  const newest = await newestLog(folder)
  const collected = newest === undefined ? [] : linesSince(await tail(newest), sinceMs)
  if (tellingLine(collected) !== undefined) return tellingLine(collected)
  // A sentence may go on in the next lines.
  const lines = (await tail(startupLog(folder)))
    .join('\n')
    .replaceAll(/\n(?!\d{4}-|\w+: )/g, ' ')
    .split('\n')
  return tellingLine(lines, STARTUP)
}

/** Removes logs that RDS would not show any more. Called at each start; a supervisor that runs for days calls it too. */
export async function pruneLogs(folder: string, nowMs: number): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const path = join(folder, name)
    if (!LOG_FILE.test(name) || nowMs - (await stat(path)).mtimeMs < KEEP_LOGS_MS) continue
    await rm(path, { force: true })
  }
}
