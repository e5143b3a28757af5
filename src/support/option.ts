import { InvalidArgumentError, Option } from 'commander'

/** An option of a command line that is a number, from an environment variable too. */
export function numeric(flag: string, description: string, variable: string): Option {
  return new Option(flag, description).env(variable).argParser((text) => {
    const value = Number(text)
    if (text.trim() === '' || Number.isNaN(value)) throw new InvalidArgumentError('is not a number')
    return value
  })
}
