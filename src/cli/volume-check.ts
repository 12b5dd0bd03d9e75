/** `borealis volume check`: whether all copies of a volume are the same, and the file system in it is whole. */

import type { Home } from '../cluster/host/home.ts'
import { type Examination, FileSystem } from '../filesystem/file-system.ts'
import { FsError } from '../filesystem/fs-error.ts'
import { viewDevice } from '../filesystem/volume-devices.ts'
import type { VolumeId } from '../protocol/lsn.ts'
import { SqliteRegistry } from '../volume/sqlite-registry.ts'
import { type Fleet, openFleet } from '../volume/tcp-fleet.ts'
import { type CheckReport, checkVolume } from '../volume/volume-check.ts'
import { ask } from './control-socket.ts'
import { findVolume } from './find-volume.ts'

/** Of each kind. */
const PROBLEMS_SHOWN = 20

function shown(problems: readonly string[]): string[] {
  const lines = problems.slice(0, PROBLEMS_SHOWN)
  return problems.length > lines.length ? [...lines, `and ${problems.length - lines.length} more`] : lines
}

const filesText = ({ files, problems }: Examination): string[] => [
  ...shown(problems),
  `${files} files: ${problems.length} problems`,
]

function copiesText({ blocks, copies, differences, missing, readPoint }: CheckReport): string[] {
  const different = differences.map(({ block, copies: held }) => {
    const texts = held.map(({ node, digest }) =>
      digest === undefined ? `${node} zeros` : `${node} version ${digest.lsn} checksum ${digest.crc.toString(16)}`,
    )
    return `block ${block}: ${texts.join(', ')}`
  })
  return [
    ...shown(different),
    ...missing.map(({ node, group, error }) => `group ${group} of ${node} was not compared: ${error.message}`),
    `${blocks} blocks in ${copies} copies at LSN ${readPoint}: ${differences.length} differences`,
  ]
}

/** At the head, while its writer goes on: metadata is a small part of a volume. Undefined where there are no files. */
async function examineFiles({ volumes }: Fleet, volume: VolumeId): Promise<Examination | undefined> {
  const view = await volumes.view(volume)
  try {
    return await FileSystem.examine(viewDevice(view))
  } catch (error) {
    if (!(error instanceof FsError)) throw error
    return error.code === 'EINVAL' ? undefined : { files: 0, problems: [error.message] }
  } finally {
    await view.close()
  }
}

/** @returns 0 when all copies were compared and are the same, and the files are whole */
export async function checkCluster(home: Home, name: string, print: (line: string) => void): Promise<number> {
  // Asked first, for its clear word when nothing runs.
  await ask(home, 'status', {})
  const registry = SqliteRegistry.open(home.registry)
  const fleet = openFleet(registry)
  try {
    const volume = findVolume(home, name)
    const files = await examineFiles(fleet, volume)
    for (const line of files === undefined ? [] : filesText(files)) print(line)
    const copies = await checkVolume(fleet.context, volume)
    for (const line of copiesText(copies)) print(line)
    const isWhole =
      copies.differences.length === 0 && copies.missing.length === 0 && (files?.problems.length ?? 0) === 0
    return isWhole ? 0 : 1
  } finally {
    fleet.close()
    registry.close()
  }
}
