/** Which operations of the RDS API there are, and what does them. Everything else of it is refused. */
import { OPERATION_SHAPES } from '../query/shapes.ts'
import { ABSENT } from './absent.ts'
import type { Operation } from './call.ts'
import * as catalog from './catalog.ts'
import * as certificates from './certificates.ts'
import * as endpoints from './cluster-endpoints.ts'
import * as clusters from './clusters.ts'
import * as events from './events.ts'
import * as instances from './instances.ts'
import * as logFiles from './log-files.ts'
import * as parameterGroups from './parameter-groups.ts'
import * as parameters from './parameters.ts'
import * as subnetGroups from './subnet-groups.ts'
import * as tags from './tags.ts'

/** What a parsed request is: its shape has the members that the operation's type says. */
type AnyOperation = Operation<Readonly<Record<string, unknown>>, object | undefined>

const MODULES: readonly object[] = [
  catalog,
  certificates,
  clusters,
  endpoints,
  events,
  instances,
  logFiles,
  parameterGroups,
  parameters,
  subnetGroups,
  tags,
]

/** `describeDBClusters` does `DescribeDBClusters`: whatever a module exports under the name of an operation. */
const exportedOperations = (): [string, AnyOperation][] =>
  MODULES.flatMap((module) =>
    Object.entries(module).flatMap(([name, value]): [string, AnyOperation][] => {
      const operation = name.replace(/^./, (first) => first.toUpperCase())
      return OPERATION_SHAPES.has(operation) ? [[operation, value as AnyOperation]] : []
    }),
  )

/** By name. */
export const OPERATIONS: ReadonlyMap<string, AnyOperation> = new Map([
  ...exportedOperations(),
  ...Object.entries(ABSENT),
])
