import type { TSchema } from '@sinclair/typebox'
import { TypeCompiler, type ValueError } from '@sinclair/typebox/compiler'
import { errors } from './errors.js'

/**
 * Makes a check of one option, or of an object of options.
 * @returns throws COMETD_ERR_OPTION_INVALID, which names what is wrong, also inside of an object, and what is expected; the name
 * may be another one each time
 */
export function optionCheck (name: string, schema: TSchema): (value: unknown, as?: string) => void {
  const validator = TypeCompiler.Compile(schema)
  return (value, as = name) => {
    if (validator.Check(value)) return
    const { path, schema, message } = validator.Errors(value).First() as ValueError
    throw new errors.COMETD_ERR_OPTION_INVALID(as + path.replaceAll('/', '.'), expectation(schema, message))
  }
}

function expectation (schema: TSchema, message: string): string {
  const choices = (schema['anyOf'] as TSchema[] | undefined)?.map(choice => JSON.stringify(choice['const'] ?? choice['type']))
  return choices === undefined ? message : `Expected one of ${choices.join(', ')}`
}
