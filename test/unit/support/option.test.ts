import { Command } from 'commander'
import { afterEach, expect, it, vi } from 'vitest'
import { numeric } from '../../../src/support/option.ts'

const parse = (...args: string[]): unknown =>
  new Command()
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
    .addOption(numeric('--port <number>', 'port to listen on', 'OPTION_TEST_PORT'))
    .parse(args, { from: 'user' })
    .opts()

afterEach(() => vi.unstubAllEnvs())

it('is a number, from the command line or else from the environment', () => {
  vi.stubEnv('OPTION_TEST_PORT', '8000')
  expect(parse()).toEqual({ port: 8000 })
  expect(parse('--port', '0')).toEqual({ port: 0 })
})

it.each(['', ' ', 'eighty', '80a', 'NaN'])('refuses %j, and names the option', (text) => {
  expect(() => parse('--port', text)).toThrow(/--port <number>.*is not a number/)
})
