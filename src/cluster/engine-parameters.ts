/** What the engine of an instance is configured with: values of its groups, for the memory that it has. */
import type { DatabaseSync } from 'node:sqlite'
import { engineAccount } from '../engine/account.ts'
import { installPostgres } from '../engine/postgres/binaries.ts'
import { engineParameters } from '../engine/postgres/parameter-catalog.ts'
import { selectVersion } from '../engine/postgres/versions.ts'
import type { ClusterRecord, InstanceRecord } from './cluster-records.ts'
import { familyOf, type ParameterDefinitions, parameterDefinitions } from './parameter-definitions.ts'
import { type GroupKind, parameterValues } from './parameter-groups.ts'
import { type EffectiveParameters, effectiveParameters, type Values } from './parameter-values.ts'

export interface InstanceCapacity {
  readonly vcpus: number
  readonly memoryBytes: number
  /** Of the largest instance of the cluster. */
  readonly largestMemoryBytes: number
}

export class EngineParameters {
  readonly #home: string
  readonly #definitions = new Map<string, Promise<ParameterDefinitions>>()

  /** @param home where engines are installed */
  constructor(home: string) {
    this.#home = home
  }

  /** @param family `aurora-postgresql17`; the engine of it is asked, once @throws EngineError */
  definitions(family: string): Promise<ParameterDefinitions> {
    const known = this.#definitions.get(family)
    if (known !== undefined) return known
    const asked = this.#ask(family)
    this.#definitions.set(family, asked)
    asked.catch(() => this.#definitions.delete(family))
    return asked
  }

  async #ask(family: string): Promise<ParameterDefinitions> {
    const version = selectVersion(/\d+$/.exec(family)?.[0])
    return parameterDefinitions(
      version.major,
      await engineParameters(await installPostgres(this.#home, version, engineAccount())),
    )
  }

  async of(
    database: DatabaseSync,
    cluster: ClusterRecord,
    instance: InstanceRecord,
    { vcpus, memoryBytes, largestMemoryBytes }: InstanceCapacity,
  ): Promise<EffectiveParameters> {
    const values = (kind: GroupKind, group: string): Values =>
      new Map([...parameterValues(database, kind, group)].map(([name, { value }]) => [name, value]))
    return effectiveParameters(
      await this.definitions(familyOf(selectVersion(cluster.engineVersion).major)),
      values('cluster', cluster.settings.parameterGroup),
      values('instance', instance.settings.parameterGroup),
      {
        DBInstanceClassMemory: memoryBytes,
        DBInstanceVCPU: vcpus,
        EndPointPort: cluster.settings.port,
        largestMemory: largestMemoryBytes,
      },
    )
  }
}
