/**
 * A region's block in a file of hosts(5). Regions side by side have one each; all else in the file stays as it is, byte by
 * byte, whatever its encoding:
 *
 *     # BEGIN borealis k3j9x0q2m4zt: names of the region in /root/.borealis; what is changed here is lost
 *     127.20.0.2      demo.cluster-k3j9x0q2m4zt.local-1.rds.borealis.internal
 *     # END borealis k3j9x0q2m4zt
 */

export interface NamedAddress {
  readonly name: string
  readonly address: string
}

export interface BlockOwner {
  /** The region's own, by which it knows its block again. */
  readonly hash: string
  /** For people who come across it. */
  readonly home: string
}

/** The longest of IPv4. So the block is as long as before when an address changes, and is changed where it is. */
const ADDRESS_CHARS = 15

/** Also what was saved with other ends of lines, or at the end of the file without one. Never over another's beginning. */
const patternOf = (hash: string): RegExp =>
  new RegExp(
    `^# BEGIN borealis ${hash}\\b[^\\n]*\\n(?:(?!# BEGIN borealis )[^\\n]*\\n)*?# END borealis ${hash}\\r?(?:\\n|(?![^]))`,
    'gm',
  )

function blockOf({ hash, home }: BlockOwner, entries: readonly NamedAddress[]): string {
  if (entries.length === 0) return ''
  // A path may have any character but one in it; in a comment none may end the line.
  const place = Buffer.from(home.replace(/\p{Cc}/gu, '?')).toString('latin1')
  return [
    `# BEGIN borealis ${hash}: names of the region in ${place}; what is changed here is lost`,
    ...entries.map(({ name, address }) => `${address.padEnd(ADDRESS_CHARS)} ${name}`),
    `# END borealis ${hash}`,
    '',
  ].join('\n')
}

/**
 * The file with this region's names in it and no others of it: in its block where that stands, otherwise in a new one at
 * the beginning. A beginning without an end is no block: somebody has edited it, and it stays.
 * @param entries with none of them, there is no block
 */
export function withBlock(file: Buffer, owner: BlockOwner, entries: readonly NamedAddress[]): Buffer {
  // A character for each byte.
  const text = file.toString('latin1')
  const block = blockOf(owner, entries)
  let blocks = 0
  const replaced = text.replace(patternOf(owner.hash), () => (blocks++ === 0 ? block : ''))
  return Buffer.from(blocks === 0 ? block + text : replaced, 'latin1')
}
