/**
 * Names of the protocol's numbers.
 *
 * An LSN counts bytes of log: a record's LSN is the position just behind its encoded bytes, so lag, retention and
 * allocation limits have bytes as their unit. It is held as a safe integer (2^53 bytes = 8 PiB of log) and is 64 bits
 * wide on the wire and on disk. (Verbitski et al., SIGMOD 2017, section 4.1; SIGMOD 2018, section 2.1.)
 */

declare const brand: unique symbol

/** A position in a volume's log, in bytes. 0 is before the first record. */
export type Lsn = number & { readonly [brand]: 'Lsn' }
/** A volume (or branch, which is a volume with a parent). 32 bits, text form `vol-0a1b2c3d`. */
export type VolumeId = number & { readonly [brand]: 'VolumeId' }
/** The number of a protection group: block number divided by the blocks of a group. */
export type GroupIndex = number & { readonly [brand]: 'GroupIndex' }
/** A block of the volume's address space. */
export type BlockNumber = number & { readonly [brand]: 'BlockNumber' }
/** The name of a storage node, unique in a fleet. */
export type NodeId = string & { readonly [brand]: 'NodeId' }

export const lsn = (n: number): Lsn => n as Lsn
export const volumeId = (n: number): VolumeId => n as VolumeId
export const groupIndex = (n: number): GroupIndex => n as GroupIndex
export const blockNumber = (n: number): BlockNumber => n as BlockNumber
export const nodeId = (s: string): NodeId => s as NodeId

export const ZERO_LSN: Lsn = lsn(0)

export const maxLsn = (a: Lsn, b: Lsn): Lsn => (a > b ? a : b)
export const minLsn = (a: Lsn, b: Lsn): Lsn => (a < b ? a : b)

/** The block number inside its group that stands for control records (wall clock); never an address. */
export const CONTROL_BLOCK = 0xffff_ffff

export const volumeName = (id: VolumeId): string => `vol-${id.toString(16).padStart(8, '0')}`

/** Reads `vol-0a1b2c3d`; undefined when the text has another form. */
export function parseVolumeName(text: string): VolumeId | undefined {
  return /^vol-[0-9a-f]{8}$/.test(text) ? volumeId(Number.parseInt(text.slice(4), 16)) : undefined
}

const HIGH = 2 ** 32

/** Reads an unsigned 64-bit little-endian number that must be a safe integer. */
export function readU64(view: DataView, offset: number): number {
  return view.getUint32(offset, true) + view.getUint32(offset + 4, true) * HIGH
}

export function writeU64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value >>> 0, true)
  view.setUint32(offset + 4, Math.floor(value / HIGH), true)
}
