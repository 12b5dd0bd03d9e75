/** The engine's settings on each side: ours, and what a disk's file system needs instead of some of them. */
import { engineSettings, type Setting } from '../../src/engine/postgres/settings.ts'
import type { Major } from '../../src/engine/postgres/versions.ts'

/** What of our settings is safe or useful on our storage only, with PostgreSQL's own defaults. */
const DEFAULTS: Readonly<Record<string, string>> = {
  full_page_writes: 'on',
  wal_sync_method: 'fdatasync',
  wal_init_zero: 'on',
  wal_recycle: 'on',
  // Rare checkpoints are what full-page writes want: after each, every page is logged whole.
  checkpoint_timeout: '5min',
  checkpoint_flush_after: '256kB',
  bgwriter_flush_after: '512kB',
  backend_flush_after: '0',
  recovery_init_sync_method: 'fsync',
  effective_io_concurrency: '1',
  maintenance_io_concurrency: '10',
}

export const settingsOnDisk = (major: Major, memoryBytes: number): Setting[] =>
  engineSettings({ major, memoryBytes }).map((setting) => ({
    ...setting,
    value: DEFAULTS[setting.name] ?? setting.value,
  }))

export const settingLine = ({ name, value }: Pick<Setting, 'name' | 'value'>): string =>
  `${name} = '${value.replaceAll("'", "''")}'\n`
