/** What an instance can be asked while it runs. */
import { fields, integer, list, oneOf, record, text } from '../volume/json-fields.ts'
import type { Stall } from './replay-stall.ts'
import { type Address, addressField, parametersField } from './settings-file.ts'
import { parseMember, type TopologyMember } from './topology.ts'

/** `instance`: its engine. `dispatcher`: the server of its files, and so all of it. `node`: all of it at once. */
export const CRASHES = ['instance', 'dispatcher', 'node'] as const
export type Crash = (typeof CRASHES)[number]

export type InstanceCommand =
  /** In order. */
  | { readonly do: 'stop' }
  /** The server of its files, by the code as it is now. */
  | { readonly do: 'replace' }
  /** Another writer, without a restart. Of readers only. */
  | { readonly do: 'follow'; readonly primary: Address | null }
  /** Another certificate, and perhaps other parameters: what needs no restart takes effect at once. */
  | {
      readonly do: 'configure'
      readonly certificate: string
      readonly key: string
      readonly parameters?: Readonly<Record<string, string>>
    }
  /** Another password of the first user. Of writers only. */
  | { readonly do: 'login'; readonly name: string; readonly password: string }
  /** For SQL to be told of. */
  | { readonly do: 'topology'; readonly members: readonly TopologyMember[] }
  /** Fault injection. */
  | { readonly do: 'crash'; readonly what: Crash }
  /** Fault injection: a reader does not follow for a time. */
  | ({ readonly do: 'stall' } & Stall)
  /** What SQL asked for was done, or cannot be. */
  | { readonly do: 'taken'; readonly id: string; readonly problem: string | null }

const WHAT = ['stop', 'replace', 'follow', 'configure', 'login', 'topology', 'crash', 'stall', 'taken'] as const

/** @throws VolumeError `Corrupt` for what is no command */
export function parseCommand(raw: unknown): InstanceCommand {
  const path = 'command'
  const what = oneOf(record(raw, path).do, `${path}.do`, WHAT)
  switch (what) {
    case 'stop':
    case 'replace':
      return { do: what }
    case 'follow': {
      const { primary } = fields(raw, path, ['do', 'primary'])
      return { do: what, primary: primary === null ? null : addressField(primary, `${path}.primary`) }
    }
    case 'configure': {
      const { certificate, key, parameters } = fields(raw, path, ['do', 'certificate', 'key'], ['parameters'])
      return {
        do: what,
        certificate: text(certificate, `${path}.certificate`),
        key: text(key, `${path}.key`),
        ...(parameters === undefined ? {} : { parameters: parametersField(parameters, `${path}.parameters`) }),
      }
    }
    case 'login': {
      const { name, password } = fields(raw, path, ['do', 'name', 'password'])
      return { do: what, name: text(name, `${path}.name`), password: text(password, `${path}.password`) }
    }
    case 'topology': {
      const { members } = fields(raw, path, ['do', 'members'])
      return { do: what, members: list(members, `${path}.members`, parseMember) }
    }
    case 'crash':
      return { do: what, what: oneOf(record(raw, path).what, `${path}.what`, CRASHES) }
    case 'stall': {
      const { percent, seconds } = fields(raw, path, ['do', 'percent', 'seconds'])
      return {
        do: what,
        percent: integer(percent, `${path}.percent`, 0, 100),
        seconds: integer(seconds, `${path}.seconds`, 1),
      }
    }
    case 'taken': {
      const { id, problem } = fields(raw, path, ['do', 'id'], ['problem'])
      const said = problem === undefined || problem === null ? null : text(problem, `${path}.problem`)
      return { do: what, id: text(id, `${path}.id`), problem: said }
    }
  }
}
