/** The parameters of each family: asked of its engine when first wanted, which brings the engine if it is not there. */
import { engineAccount } from '../engine/account.ts'
import { installPostgres } from '../engine/postgres/binaries.ts'
import { engineParameters } from '../engine/postgres/parameter-catalog.ts'
import { availableVersions } from '../engine/postgres/versions.ts'
import { familyOf, type ParameterDefinitions, parameterDefinitions } from './parameter-definitions.ts'

export class ParameterCatalog {
  readonly #home: string
  readonly #known = new Map<string, Promise<ParameterDefinitions>>()

  constructor(home: string) {
    this.#home = home
  }

  /** @throws RangeError when there is no such family; EngineError when its engine cannot be had */
  of(family: string): Promise<ParameterDefinitions> {
    const known = this.#known.get(family)
    if (known !== undefined) return known
    const asked = this.#ask(family)
    this.#known.set(family, asked)
    // The next one who wants it tries again.
    asked.catch(() => this.#known.delete(family))
    return asked
  }

  async #ask(family: string): Promise<ParameterDefinitions> {
    const version = availableVersions().find(({ major }) => familyOf(major) === family)
    if (version === undefined) throw new RangeError(`there is no parameter group family ${family}`)
    const binaries = await installPostgres(this.#home, version, engineAccount())
    return parameterDefinitions(version.major, await engineParameters(binaries))
  }
}
