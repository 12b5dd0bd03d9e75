/**
 * What of a volume's past is kept. Cutoff and pins are in one cell of the registry and change by compare-and-set, which
 * is the one lock that pinning and collecting need: a pin that is in the record was checked against the cutoff that
 * is in the record. Pure; each function answers a new record.
 */
import { VolumeError } from '../protocol/errors.ts'
import { type Lsn, maxLsn, minLsn, volumeName } from '../protocol/lsn.ts'
import { checkLive } from './volume-changes.ts'
import type { Pin, VolumeRecord } from './volume-record.ts'

/** Nodes keep a version of every block for each, and look through the list for every block they collect. */
export const PINS_MAX = 4096

const withPins = (volume: VolumeRecord, pins: readonly Pin[]): VolumeRecord => ({ ...volume, pins })

/**
 * Adding the same pin again changes nothing.
 * @throws VolumeError `ReadPointTooOld` when that version may be gone: below the cutoff, and not pinned at this very
 *   LSN; `AlreadyExists` when the id stands for another pin
 */
export function addPin(volume: VolumeRecord, pin: Pin): VolumeRecord {
  checkLive(volume)
  checkPin(pin)
  const present = volume.pins.find(({ id }) => id === pin.id)
  if (present !== undefined) {
    if (present.kind === pin.kind && present.lsn === pin.lsn && present.expiresAtMs === pin.expiresAtMs) return volume
    throw new VolumeError('AlreadyExists', `${volumeName(volume.id)} has another pin ${pin.id}`)
  }
  if (pin.lsn < volume.cutoff && !volume.pins.some(({ lsn }) => lsn === pin.lsn)) {
    throw new VolumeError('ReadPointTooOld', `${pin.lsn} is below the cutoff ${volume.cutoff} and not pinned`)
  }
  if (volume.pins.length >= PINS_MAX) throw new VolumeError('BadRequest', `a volume has at most ${PINS_MAX} pins`)
  return withPins(volume, [...volume.pins, pin])
}

function checkPin({ id, kind, lsn, expiresAtMs }: Pin): void {
  const expiry = kind === 'lease' ? Number.isSafeInteger(expiresAtMs) : expiresAtMs === undefined
  if (id === '' || !Number.isSafeInteger(lsn) || lsn < 0 || !expiry) {
    throw new VolumeError('BadRequest', `${kind} "${id}" at ${lsn} that expires at ${expiresAtMs}`)
  }
}

/** Removing what is not there changes nothing. */
export function removePin(volume: VolumeRecord, id: string): VolumeRecord {
  const pins = volume.pins.filter((pin) => pin.id !== id)
  return pins.length === volume.pins.length ? volume : withPins(volume, pins)
}

const isLive = (pin: Pin, nowMs: number): boolean => pin.expiresAtMs === undefined || pin.expiresAtMs > nowMs

/**
 * Never shortens a lease.
 * @throws VolumeError `LeaseExpired` when it has run out, removed or not: the cutoff may have passed it
 */
export function renewLease(volume: VolumeRecord, id: string, expiresAtMs: number, nowMs: number): VolumeRecord {
  checkLive(volume)
  const lease = volume.pins.find((pin) => pin.id === id)
  if (lease?.expiresAtMs === undefined || !isLive(lease, nowMs)) {
    throw new VolumeError('LeaseExpired', `lease ${id} of ${volumeName(volume.id)} has run out`)
  }
  if (expiresAtMs <= lease.expiresAtMs) return volume
  const renewed = { ...lease, expiresAtMs }
  return withPins(
    volume,
    volume.pins.map((pin) => (pin === lease ? renewed : pin)),
  )
}

/** Drops the leases that have run out. */
export function expireLeases(volume: VolumeRecord, nowMs: number): VolumeRecord {
  const pins = volume.pins.filter((pin) => isLive(pin, nowMs))
  return pins.length === volume.pins.length ? volume : withPins(volume, pins)
}

/**
 * Lets go of the past before `to`, or before the lowest live lease where that is lower: behind a lease somebody reads
 * at points that move up. The cutoff passes pins and branches, which keep what is visible at their own LSN only, and
 * leases that were taken at such a point. It never goes back.
 */
export function advanceCutoff(volume: VolumeRecord, to: Lsn, nowMs: number): VolumeRecord {
  const leases = volume.pins.filter((pin) => pin.kind === 'lease' && isLive(pin, nowMs) && pin.lsn >= volume.cutoff)
  const cutoff = maxLsn(
    volume.cutoff,
    leases.reduce((lowest, lease) => minLsn(lowest, lease.lsn), to),
  )
  return cutoff === volume.cutoff ? volume : { ...volume, cutoff }
}
