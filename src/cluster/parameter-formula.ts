/**
 * Values of parameters that depend on the instance, as RDS writes them: `{DBInstanceClassMemory/9531392}`,
 * `LEAST({DBInstanceClassMemory/9531392},5000)`. They are kept as they were written, and evaluated for each instance.
 */
export interface FormulaVariables {
  readonly DBInstanceClassMemory: number
  readonly DBInstanceVCPU: number
  readonly EndPointPort: number
}

const FUNCTIONS: Readonly<Record<string, (values: readonly number[]) => number>> = {
  GREATEST: (values) => Math.max(...values),
  LEAST: (values) => Math.min(...values),
  SUM: (values) => values.reduce((sum, value) => sum + value, 0),
}

const TOKEN = /\s*(?:(\d+(?:\.\d+)?)|([A-Za-z]\w*)|([-+*/(),{}]))/y
const TOKENS_MAX = 200

export const isFormula = (value: string): boolean => /[{(]/.test(value)

function tokensOf(text: string): string[] {
  const tokens: string[] = []
  TOKEN.lastIndex = 0
  while (TOKEN.lastIndex < text.trimEnd().length) {
    const [, number, word, sign] = TOKEN.exec(text) ?? []
    const token = number ?? word ?? sign
    if (token === undefined || tokens.length === TOKENS_MAX) throw new SyntaxError(`${text} is no formula`)
    tokens.push(token)
  }
  return tokens
}

/** @throws SyntaxError for what is no formula, names an unknown variable or function, or has no finite value */
export function evaluateFormula(text: string, variables: FormulaVariables): number {
  const tokens = tokensOf(text)
  let at = 0
  const fail = (): never => {
    throw new SyntaxError(`${text} is no formula`)
  }
  const expect = (token: string): void => {
    if (tokens[at++] !== token) fail()
  }
  const values = (): number[] => {
    const list = [sum()]
    while (tokens[at] === ',') {
      at++
      list.push(sum())
    }
    return list
  }
  const factor = (): number => {
    const token = tokens[at++] ?? ''
    if (/^\d/.test(token)) return Number(token)
    if (token === '{' || token === '(') {
      const value = sum()
      expect(token === '{' ? '}' : ')')
      return value
    }
    if (Object.hasOwn(variables, token)) return variables[token as keyof FormulaVariables]
    const call = Object.hasOwn(FUNCTIONS, token.toUpperCase()) ? FUNCTIONS[token.toUpperCase()] : undefined
    if (call === undefined) return fail()
    expect('(')
    const value = call(values())
    expect(')')
    return value
  }
  const product = (): number => {
    let value = factor()
    for (;;) {
      if (tokens[at] === '*') {
        at++
        value *= factor()
      } else if (tokens[at] === '/') {
        at++
        value /= factor()
      } else return value
    }
  }
  const sum = (): number => {
    let value = product()
    for (;;) {
      if (tokens[at] === '+') {
        at++
        value += product()
      } else if (tokens[at] === '-') {
        at++
        value -= product()
      } else return value
    }
  }
  const value = sum()
  return at === tokens.length && Number.isFinite(value) ? Math.trunc(value) : fail()
}
