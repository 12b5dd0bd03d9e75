/**
 * For how long a reader does not show what a client of the writer was told to be committed. One process has both ends,
 * so that there is one clock: a session that writes one number after the other, and one that reads it all the time.
 */
import type { EndpointClient } from '../../test/chaos/endpoint-client.ts'
import { pause } from '../../test/waiting.ts'

export const BEAT_SCHEMA = 'CREATE TABLE beat (id int PRIMARY KEY, number int); INSERT INTO beat VALUES (1, 0)'

/** Between writes. */
const BEAT_MS = 1
const LAST_MS_MAX = 60_000

/**
 * @param writer a session on the writer; nobody else beats
 * @param reader a session on a reader
 * @returns of each beat, in ms; 0 where the reader had it before the client was told
 */
export async function readerLag(writer: EndpointClient, reader: EndpointClient, seconds: number): Promise<number[]> {
  const { rows } = await writer.query('SELECT number FROM beat')
  const first = Number(rows[0]?.number) + 1
  const acknowledgedMs: number[] = []
  const seenMs: number[] = []
  let isBeating = true
  const beat = async (): Promise<void> => {
    for (const end = performance.now() + seconds * 1000; performance.now() < end; await pause(BEAT_MS)) {
      await writer.query('UPDATE beat SET number = $1', [first + acknowledgedMs.length])
      acknowledgedMs.push(performance.now())
    }
    isBeating = false
  }
  const look = async (): Promise<void> => {
    let lateMs = Number.POSITIVE_INFINITY
    while (isBeating || seenMs.length < acknowledgedMs.length) {
      const answer = await reader.query('SELECT number FROM beat')
      const nowMs = performance.now()
      while (first + seenMs.length <= Number(answer.rows[0]?.number)) seenMs.push(nowMs)
      if (!isBeating) lateMs = Math.min(lateMs, nowMs + LAST_MS_MAX)
      if (nowMs > lateMs) throw new Error(`the reader does not show the last write for ${LAST_MS_MAX} ms`)
    }
  }
  await Promise.all([beat(), look()])
  return acknowledgedMs.map((ms, i) => Math.max(0, (seenMs[i] ?? Number.NaN) - ms))
}
