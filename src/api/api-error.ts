import { FAULT_SHAPES } from './query/shapes.ts'

/** What a caller of the API is told: the code and the HTTP status that AWS's services use, and a sentence. */
export class ApiError extends Error {
  readonly code: string
  /** HTTP. From 500 on it is ours, not the caller's. */
  readonly status: number
  constructor(code: string, status: number, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ApiError'
    this.code = code
    this.status = status
  }
}

/** @param shape name of a modelled error, such as `DBInstanceNotFoundFault`; its wire code may be another */
export function fault(shape: string, message: string, options?: ErrorOptions): ApiError {
  const known = FAULT_SHAPES.get(shape)
  if (known === undefined) throw new TypeError(`the RDS API has no error ${shape}`)
  return new ApiError(known.code, known.status, message, options)
}

// Those that the model does not name, but the service sends all the same.
export const invalidValue = (message: string): ApiError => new ApiError('InvalidParameterValue', 400, message)
export const invalidCombination = (message: string): ApiError =>
  new ApiError('InvalidParameterCombination', 400, message)
export const missingParameter = (name: string): ApiError =>
  new ApiError('MissingParameter', 400, `The request must contain the parameter ${name}.`)
export const malformed = (message: string): ApiError => new ApiError('MalformedInput', 400, message)
