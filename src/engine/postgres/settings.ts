/**
 * The settings of every instance, each with its reason. They are defaults: a cluster's parameters may replace them
 * (`parameters.ts`), except for what `configuration.ts` puts behind both.
 *
 * What they are for: a volume that makes writes durable in the order in which they came, never tears an 8 KiB page, is
 * reached without the kernel's page cache (`FOPEN_DIRECT_IO`), and on which a write costs its changed bytes.
 */
import { AURORA_SETTINGS } from './aurora-settings.ts'
import type { Major } from './versions.ts'

export interface Setting {
  readonly name: string
  readonly value: string
  readonly reason: string
}

export interface Shape {
  readonly major: Major
  /** What the engine may use of the machine: buffers, sessions and their work. */
  readonly memoryBytes: number
}

const MIB = 1 << 20
const KIB = 1 << 10

/** In a unit PostgreSQL reads: whole megabytes. */
const megabytes = (bytes: number): string => `${Math.floor(bytes / MIB)}MB`
const between = (least: number, value: number, most: number): number => Math.min(Math.max(value, least), most)

/** Aurora's share is near 0.68 for the same reason: there is no page cache of the kernel behind the buffers. */
export const BUFFERS_SHARE = 0.6
const BUFFERS_MIN = 32 * MIB

export const sharedBuffersBytes = ({ memoryBytes }: Shape): number =>
  Math.max(Math.floor(memoryBytes * BUFFERS_SHARE), BUFFERS_MIN)

/** RDS's formula, about 9 MB a session, with room for pools on the smallest. */
export const connectionsMax = ({ memoryBytes }: Shape): number => between(60, Math.floor(memoryBytes / 9_531_392), 5000)

const storage = (): Setting[] => [
  { name: 'fsync', value: 'on', reason: 'a commit is acknowledged when a write quorum of the volume has it' },
  {
    name: 'full_page_writes',
    value: 'off',
    reason: 'a page is written by one request and becomes one mini-transaction, so none is ever torn',
  },
  {
    name: 'wal_sync_method',
    value: 'open_datasync',
    reason: 'a WAL flush is then one request to the file system, instead of a write and a sync',
  },
  {
    name: 'wal_init_zero',
    value: 'off',
    reason: 'space is not reserved by writing zeros: they would be 16 MiB of log',
  },
  { name: 'wal_recycle', value: 'off', reason: 'a new file costs nothing, and an old one makes large deltas' },
  { name: 'wal_compression', value: 'off', reason: 'the volume ships changed bytes; the build has pglz only' },
  { name: 'min_wal_size', value: '80MB', reason: 'nothing is recycled, so there is nothing to keep' },
  {
    name: 'checkpoint_timeout',
    value: '60s',
    reason:
      "Aurora's; a checkpoint costs only the changed bytes of pages, and a crash recovery replays less than a minute",
  },
  { name: 'max_wal_size', value: '2GB', reason: 'so that time starts checkpoints; 60 s at 30 MB/s' },
  {
    name: 'checkpoint_completion_target',
    value: '0.9',
    reason: 'spread over the whole interval: no bursts to the quorum',
  },
  { name: 'checkpoint_flush_after', value: '0', reason: 'there are no dirty pages in the kernel to write back' },
  { name: 'backend_flush_after', value: '0', reason: 'as above' },
  { name: 'bgwriter_flush_after', value: '0', reason: 'as above' },
  {
    name: 'recovery_init_sync_method',
    value: 'syncfs',
    reason: 'before a recovery each file of the directory would be opened and synced; the volume keeps order anyway',
  },
  { name: 'data_sync_retry', value: 'off', reason: 'a failed sync means that we are fenced: stop, do not try again' },
]

/**
 * Up to 17 it goes into the kernel's page cache, which reads past it never see; but it passes the server of the files,
 * whose cache they do see: recoveries of 10,000 blocks took 0.21 to 0.28 ms a block with it on a busy machine, 0.37 to
 * 0.45 without it on a quiet one. From 18 on it goes into the buffers, and
 * only reads are asynchronous: pages are written as ever, so each method is as safe as the others
 * (`test/processes/fuse-engines.test.ts`). Cold scans on the volume, on a busy machine with 2 cores, three rounds with
 * each: sequential 1.4 times as fast with workers as without, by an index twice as fast.
 */
const readAhead = ({ major }: Shape): Setting[] =>
  major >= 18
    ? [
        {
          name: 'io_method',
          value: 'worker',
          reason:
            'reads ahead while rows are looked at; io_uring is not in the build, and forbidden in most containers',
        },
      ]
    : [
        {
          name: 'effective_io_concurrency',
          value: '0',
          reason: 'is posix_fadvise, one system call more for each block of a bitmap scan',
        },
        {
          name: 'maintenance_io_concurrency',
          value: '32',
          reason:
            'a recovery then asks for blocks before it needs them: not the page cache but the server of the files has them',
        },
      ]

const memory = (shape: Shape): Setting[] => [
  {
    name: 'shared_buffers',
    value: megabytes(sharedBuffersBytes(shape)),
    reason: `${BUFFERS_SHARE} of the memory: no page cache of the kernel behind it`,
  },
  {
    name: 'effective_cache_size',
    value: megabytes(sharedBuffersBytes(shape)),
    reason: 'for the same reason not more than the buffers',
  },
  {
    name: 'maintenance_work_mem',
    value: megabytes(between(64 * MIB, Math.floor(shape.memoryBytes / 62), 2048 * MIB - KIB)),
    reason: "Aurora's share",
  },
  {
    name: 'huge_pages',
    value: 'off',
    reason: 'where a container may not have the huge pages that the machine has, the first touch kills the process',
  },
]

const sessions = (shape: Shape): Setting[] => [
  { name: 'max_connections', value: `${connectionsMax(shape)}`, reason: "RDS's formula" },
  {
    name: 'superuser_reserved_connections',
    value: '3',
    reason: 'the instance still gets in when clients have taken all',
  },
  { name: 'password_encryption', value: 'scram-sha-256', reason: 'the only kind of password that is let in' },
  { name: 'timezone', value: 'UTC', reason: 'not that of whichever machine runs the instance' },
  { name: 'lc_messages', value: 'C', reason: 'the log is read by programs' },
]

/** Readers follow the writer by its WAL; any of them may be the next writer, so all have the same. */
const replication = (): Setting[] => [
  { name: 'wal_level', value: 'replica', reason: 'readers follow; logical replication is a parameter' },
  { name: 'max_wal_senders', value: '20', reason: '15 readers, some of them twice while they reconnect' },
  { name: 'max_replication_slots', value: '20', reason: 'as above' },
  { name: 'wal_keep_size', value: '512MB', reason: 'a reader that was away for a moment finds where it was' },
  { name: 'hot_standby', value: 'on', reason: 'readers answer queries' },
  { name: 'hot_standby_feedback', value: 'on', reason: 'the writer keeps the rows that readers still look at' },
  { name: 'max_standby_streaming_delay', value: '14s', reason: "Aurora's: then a reader's query yields to replay" },
  { name: 'wal_retrieve_retry_interval', value: '100ms', reason: 'readers are back soon after a failover; 5 s else' },
  { name: 'wal_receiver_timeout', value: '10s', reason: 'a writer that fell silent is given up' },
  { name: 'wal_sender_timeout', value: '30s', reason: 'and a reader likewise' },
]

const operation = ({ major }: Shape): Setting[] => [
  { name: 'logging_collector', value: 'on', reason: 'a process of the engine writes its log: it never waits for ours' },
  { name: 'log_destination', value: 'stderr', reason: 'the form of the files that RDS shows' },
  { name: 'log_filename', value: 'postgresql.log.%Y-%m-%d-%H%M', reason: "RDS's names" },
  { name: 'log_rotation_age', value: '1h', reason: "RDS's interval" },
  { name: 'log_rotation_size', value: '100MB', reason: 'a limit that does not depend on time' },
  { name: 'log_line_prefix', value: '%m:%r:%u@%d:[%p]:%e:', reason: "RDS's, with milliseconds and SQLSTATE" },
  { name: 'log_timezone', value: 'UTC', reason: 'one clock in all logs' },
  { name: 'log_checkpoints', value: 'on', reason: 'they are what recovery time depends on' },
  { name: 'log_lock_waits', value: 'on', reason: 'what operators look for first' },
  { name: 'log_autovacuum_min_duration', value: '10s', reason: "Aurora's" },
  { name: 'shared_preload_libraries', value: '', reason: 'none: extensions that want it come with parameters' },
  {
    name: 'restart_after_crash',
    value: 'off',
    reason: 'whoever supervises the instance has to see a crash: a fenced writer must not come back by itself',
  },
  // A session could otherwise write settings into the volume that the next start stumbles over.
  ...(major >= 17 ? [{ name: 'allow_alter_system', value: 'off', reason: 'settings belong to the instance' }] : []),
]

export const engineSettings = (shape: Shape): Setting[] => [
  ...storage(),
  ...readAhead(shape),
  ...memory(shape),
  ...sessions(shape),
  ...replication(),
  ...operation(shape),
  ...AURORA_SETTINGS,
]
