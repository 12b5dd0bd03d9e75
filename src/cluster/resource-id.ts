/** Identifiers of resources that last longer than their names, in the form of AWS. */
import { randomInt } from 'node:crypto'

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789'
const CHARS = 26

export const newResourceId = (prefix: 'cluster' | 'db' | 'cluster-endpoint'): string =>
  `${prefix}-${Array.from({ length: CHARS }, () => LETTERS[randomInt(LETTERS.length)]).join('')}`
