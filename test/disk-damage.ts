/** Damage to the files of a node that is down: bytes that rot, files that are cut or gone. */
import {
  closeSync,
  globSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import type { Random } from '../sim/random.ts'

/** What a node has on its disk, by the part of it that is damaged. */
export const NODE_FILES = {
  log: 'log/[0-9]*.pages',
  layer: 'segments/*/layer-*',
  manifest: 'segments/*/manifest.[ab]',
  volume: 'volumes/*.[ab]',
  identity: 'node/identity.[ab]',
} as const

export type NodeFileKind = keyof typeof NODE_FILES

const LOG_PAGE_BYTES = 4096

/** The files of a kind, sorted. */
export function nodeFiles(folder: string, kind: NodeFileKind): string[] {
  return globSync(`${folder}/${NODE_FILES[kind]}`).sort()
}

/** Turns over one bit to all eight of one byte. @returns what was done, for people */
export function flipByte(path: string, random: Random): string {
  const offset = random.below(statSync(path).size)
  const file = openSync(path, 'r+')
  try {
    const byte = new Uint8Array(1)
    readSync(file, byte, 0, 1, offset)
    byte[0] = (byte[0] as number) ^ random.between(1, 255)
    writeSync(file, byte, 0, 1, offset)
  } finally {
    closeSync(file)
  }
  return `byte ${offset} of ${path}`
}

/** The newest file of the hot log, and the last of its pages that was written. */
function logTail(folder: string): { readonly path: string; readonly page: number } {
  const path = nodeFiles(folder, 'log').at(-1)
  if (path === undefined) throw new Error(`${folder} has no log`)
  const bytes = readFileSync(path)
  let page = bytes.length / LOG_PAGE_BYTES - 1
  while (page > 0 && bytes.subarray(page * LOG_PAGE_BYTES, (page + 1) * LOG_PAGE_BYTES).every((byte) => byte === 0))
    page--
  return { path, page }
}

/** Zeros instead of the end of the log: the last pages, or the second half of the last one. */
export function tearLog(folder: string, pages: number): string {
  const { path, page } = logTail(folder)
  const start = pages < 1 ? page * LOG_PAGE_BYTES + LOG_PAGE_BYTES / 2 : Math.max(0, page + 1 - pages) * LOG_PAGE_BYTES
  const end = (page + 1) * LOG_PAGE_BYTES
  const file = openSync(path, 'r+')
  writeSync(file, new Uint8Array(end - start), 0, end - start, start)
  closeSync(file)
  return `zeros from ${start} to ${end} in ${path}`
}

export function cutFile(path: string): string {
  const bytes = Math.floor(statSync(path).size / 2)
  truncateSync(path, bytes)
  return `${path} cut to ${bytes} bytes`
}

export function deleteFile(path: string): string {
  unlinkSync(path)
  return `${path} deleted`
}
