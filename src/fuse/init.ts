/** What we and the kernel agree on when a file system is mounted. */
import type { Negotiated } from './answer.ts'
import { InitFlag, InitFlag2, MAJOR, MINOR, MINOR_MIN } from './kernel-abi.ts'
import type { Request } from './request.ts'

/** One request writes or reads at most this much: 256 pages, which is the kernel's own limit unless it is raised. */
export const WRITE_BYTES_MAX = 1 << 20
const PAGES_MAX = 256
/** A message with its header; the kernel refuses to give anything to a smaller buffer. */
export const RECEIVE_BYTES = WRITE_BYTES_MAX + 4096
/** An answer to the longest read. */
export const ANSWER_BYTES = WRITE_BYTES_MAX + 4096

/**
 * Requests nobody waits for (read-ahead, write-back of a mapping) that the kernel gives out at once. libfuse has 12;
 * databases through direct I/O use none.
 */
const BACKGROUND_MAX = 64
const CONGESTION_THRESHOLD = 48

const WANTED =
  InitFlag.ASYNC_READ |
  // open(2) with O_TRUNC is one request and one change, not two.
  InitFlag.ATOMIC_O_TRUNC |
  InitFlag.BIG_WRITES |
  InitFlag.PARALLEL_DIROPS |
  InitFlag.MAX_PAGES |
  // Without it each change of a file's size throws its cached pages away (a mapped or a cached file's).
  InitFlag.EXPLICIT_INVAL_DATA |
  InitFlag.INIT_EXT

const WANTED_2 =
  // MariaDB maps its redo log and its transaction coordinator's log.
  InitFlag2.DIRECT_IO_ALLOW_MMAP | InitFlag2.HAS_RESEND

export type Negotiation =
  | { readonly outcome: 'agreed'; readonly terms: Negotiated; readonly canResend: boolean }
  /** The kernel's major version is newer: it is told ours and asks again. */
  | { readonly outcome: 'again'; readonly terms: Negotiated }
  | { readonly outcome: 'too-old'; readonly version: string }

export function negotiate(request: Request): Negotiation {
  const { major, minor, readAheadBytes, initFlags, initFlags2 } = request
  const terms: Negotiated = {
    major: MAJOR,
    minor: Math.min(minor, MINOR),
    readAheadBytes: Math.min(readAheadBytes, WRITE_BYTES_MAX),
    // Unsigned, as it is on the wire.
    flags: (initFlags & WANTED) >>> 0,
    flags2: (initFlags2 & WANTED_2) >>> 0,
    backgroundMax: BACKGROUND_MAX,
    congestionThreshold: CONGESTION_THRESHOLD,
    writeBytesMax: WRITE_BYTES_MAX,
    pagesMax: PAGES_MAX,
  }
  if (major > MAJOR) return { outcome: 'again', terms: { ...terms, minor: MINOR } }
  if (major < MAJOR || minor < MINOR_MIN) return { outcome: 'too-old', version: `${major}.${minor}` }
  return { outcome: 'agreed', terms, canResend: (initFlags2 & InitFlag2.HAS_RESEND) !== 0 }
}
