import { LONGEST_TIMER } from '../../schemas/options.js'
import { errors } from '../errors.js'

/** @throws COMETD_ERR_OPTION_INVALID unless `value` is a duration, or undefined */
export function checkMilliseconds (name: string, value: number | undefined): void {
  if (value === undefined || (Number.isInteger(value) && value >= 0 && value <= LONGEST_TIMER)) return
  throw new errors.COMETD_ERR_OPTION_INVALID(name, 'Expected integer to be milliseconds, or undefined')
}
