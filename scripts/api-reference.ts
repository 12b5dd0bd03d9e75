/** Which operations the API has, in docs/api.md: `node_modules/.bin/node scripts/api-reference.ts` writes it anew. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { OPERATION_SHAPES } from '../src/api/query/shapes.ts'
import { ABSENT } from '../src/api/rds/absent.ts'
import { OPERATIONS } from '../src/api/rds/operations.ts'

const PATH = join(import.meta.dirname, '..', 'docs', 'api.md')
const BEGIN = '<!-- operations: written by scripts/api-reference.ts -->'
const END = '<!-- end of operations -->'

const names = (kept: (name: string) => boolean): string =>
  [...OPERATION_SHAPES.keys()]
    .filter(kept)
    .sort()
    .map((name) => `\`${name}\``)
    .join(', ')

function operationsText(): string {
  const isAbsent = (name: string): boolean => Object.hasOwn(ABSENT, name)
  return [
    `Of the ${OPERATION_SHAPES.size} operations, ${OPERATIONS.size} are there.`,
    `**Real**: ${names((name) => OPERATIONS.has(name) && !isAbsent(name))}.`,
    `**An empty list**, since there are none of these: ${names(isAbsent)}.`,
    `**Refused** with \`InvalidAction\`: ${names((name) => !OPERATIONS.has(name))}.`,
  ].join('\n\n')
}

/** The page, as it should be. */
export function apiPage(page: string): string {
  const [head, rest] = page.split(BEGIN)
  const tail = rest?.split(END)[1]
  if (head === undefined || tail === undefined) throw new Error(`docs/api.md has no ${BEGIN} and ${END}`)
  return `${head}${BEGIN}\n\n${operationsText()}\n\n${END}${tail}`
}

if (import.meta.main) writeFileSync(PATH, apiPage(readFileSync(PATH, 'utf8')))
