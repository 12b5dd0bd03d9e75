import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export const root = join(import.meta.dirname, '..')

/** A source file as the house rules see it. `path` is relative to the repository, with `/`. */
export interface SourceFile {
  readonly path: string
  /** Comments replaced by spaces, so that offsets stay. */
  readonly code: string
  readonly lines: number
  /** What it imports or re-exports from, types too, as written. */
  readonly imports: readonly string[]
}

const BLOCK_COMMENT = /\/\*[\s\S]*?\*\//g
/** `//` after a space or at the start of a line: `https://` in a string is not one. */
const LINE_COMMENT = /(?<=^|\s)\/\/.*$/gm
const IMPORT = /(?<!['"])\b(?:from|import)\s*\(?\s*['"]([^'"]+)['"]/g

export function parseSource(path: string, text: string): SourceFile {
  const blank = (comment: string): string => comment.replace(/[^\n]/g, ' ')
  const code = text.replace(BLOCK_COMMENT, blank).replace(LINE_COMMENT, blank)
  return {
    path,
    code,
    lines: text.split('\n').length - (text.endsWith('\n') ? 1 : 0),
    imports: [...code.matchAll(IMPORT)].map((match) => match[1] ?? ''),
  }
}

export const sourceFiles = (pattern: string): SourceFile[] =>
  globSync(pattern, { cwd: root })
    .sort()
    .map((path) => parseSource(path, readFileSync(join(root, path), 'utf8')))

export const isTest = (path: string): boolean => path.endsWith('.test.ts') || path.includes('/test/')
