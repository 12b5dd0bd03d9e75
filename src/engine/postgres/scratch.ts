/**
 * What lies in the data directory and is worth nothing to anybody but the running engine. The file system may keep it on
 * the local disk instead of the volume: empty at every start, seen by no reader, clone or backup.
 *
 * Tested by starting PostgreSQL after all of it was emptied. The engine's own list of what a base backup leaves out
 * (`excludeDirContents` in basebackup.c) has `pg_replslot` as well; that one is NOT here: slots are promises to readers
 * and subscribers, and have to be there after a failover.
 */
export interface ScratchPath {
  /** Relative to the data directory. */
  readonly path: string
  readonly kind: 'folder' | 'file'
  readonly reason: string
}

export const SCRATCH_PATHS: readonly ScratchPath[] = [
  {
    path: 'base/pgsql_tmp',
    kind: 'folder',
    reason: 'sorts and hashes larger than work_mem; made when first needed, removed at start. The bulk of it all',
  },
  {
    path: 'pg_stat_tmp',
    kind: 'folder',
    reason: 'statistics on their way between processes (14), query texts (15 on)',
  },
  { path: 'pg_subtrans', kind: 'folder', reason: 'parents of running subtransactions; zeroed at start' },
  { path: 'pg_notify', kind: 'folder', reason: 'queue of LISTEN and NOTIFY; emptied at start' },
  {
    path: 'pg_serial',
    kind: 'folder',
    reason: 'conflicts of serializable transactions that run; unused after a start',
  },
  { path: 'pg_snapshots', kind: 'folder', reason: 'exported snapshots of running transactions; emptied at start' },
  { path: 'pg_dynshmem', kind: 'folder', reason: 'shared memory, where it is in files; emptied at start' },
  { path: 'postmaster.pid', kind: 'file', reason: 'names a process of this machine' },
  { path: 'postmaster.opts', kind: 'file', reason: 'how this process was started; read by pg_ctl only' },
  { path: 'current_logfiles', kind: 'file', reason: 'which log file is written just now, outside of the data' },
]
