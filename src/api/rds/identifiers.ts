/** What users may name things, and the sentences with which AWS refuses the rest. */
import { invalidValue } from '../api-error.ts'

const RULE =
  'Identifiers must begin with a letter; must contain only ASCII letters, digits, and hyphens; and must not end with a hyphen or contain two consecutive hyphens.'

const IDENTIFIER = /^[a-z](?:-?[a-z0-9])*$/
const IDENTIFIER_CHARS_MAX = 63

/** In lower case, as RDS keeps them. @param member which the message names */
export function identifier(member: string, given: string, charsMax = IDENTIFIER_CHARS_MAX): string {
  const name = given.toLowerCase()
  if (!IDENTIFIER.test(name)) throw invalidValue(`The parameter ${member} is not a valid identifier. ${RULE}`)
  if (name.length > charsMax)
    throw invalidValue(
      `The parameter ${member} is not a valid identifier because it is longer than ${charsMax} characters.`,
    )
  return name
}

const GROUP_CHARS_MAX = 255

/** Of a group of parameters or subnets. */
export function groupName(member: string, given: string): string {
  const name = identifier(member, given, GROUP_CHARS_MAX)
  if (name === 'default') throw invalidValue(`The parameter ${member} must not be Default.`)
  return name
}

/** PostgreSQL's names have 63 bytes. */
const NAME_CHARS_MAX = 63
const RESERVED = ['admin', 'rdsadmin', 'rds_superuser', 'rds_replication', 'rds_iam', 'rdsrepladmin', 'public', 'user']

export function masterUser(given: string | undefined): string {
  if (given === undefined || given === '')
    throw invalidValue('The parameter MasterUsername must be provided and must not be blank.')
  if (!/^[A-Za-z][A-Za-z0-9_]*$/.test(given) || given.length > NAME_CHARS_MAX)
    throw invalidValue(
      `The parameter MasterUsername is not a valid identifier. It must begin with a letter, and contain 1 to ${NAME_CHARS_MAX} alphanumeric characters or underscores.`,
    )
  if (RESERVED.includes(given.toLowerCase()) || /^pg_/i.test(given))
    throw invalidValue(`MasterUsername ${given} cannot be used as it is a reserved word used by the engine`)
  return given
}

const PASSWORD_CHARS_MIN = 8
const PASSWORD_CHARS_MAX = 128

export function masterPassword(given: string | undefined): string {
  if (given === undefined || given === '')
    throw invalidValue('The parameter MasterUserPassword must be provided and must not be blank.')
  const invalid = 'The parameter MasterUserPassword is not a valid password'
  if (given.length < PASSWORD_CHARS_MIN)
    throw invalidValue(`${invalid} because it is shorter than ${PASSWORD_CHARS_MIN} characters.`)
  if (given.length > PASSWORD_CHARS_MAX)
    throw invalidValue(`${invalid} because it is longer than ${PASSWORD_CHARS_MAX} characters.`)
  if (!/^[!-~]+$/.test(given) || /[/@"']/.test(given))
    throw invalidValue(`${invalid}. Only printable ASCII characters besides '/', '@', '"', ' ' may be used.`)
  return given
}

export function databaseName(given: string | undefined): string | null {
  if (given === undefined || given === '') return null
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(given) || given.length > NAME_CHARS_MAX)
    throw invalidValue('DatabaseName must begin with a letter and contain only alphanumeric characters.')
  if (['template0', 'template1', 'rdsadmin'].includes(given.toLowerCase()))
    throw invalidValue(`DatabaseName ${given} cannot be used as it is a reserved word used by the engine`)
  return given
}

/** @throws ApiError unless it is a whole number of that range */
export function numberWithin(member: string, given: number, least: number, most: number): number {
  if (!Number.isInteger(given) || given < least || given > most)
    throw invalidValue(`Invalid value ${given} for ${member}. Must be between ${least} and ${most}`)
  return given
}
