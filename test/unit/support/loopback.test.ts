import { expect, test } from 'vitest'
import { isLoopback } from '../../../src/support/loopback.ts'

test('only what no network reaches is loopback', () => {
  expect(['127.0.0.1', '127.8.9.1', '::1', 'localhost'].map(isLoopback)).toEqual([true, true, true, true])
  for (const host of [
    '0.0.0.0',
    '::',
    '',
    '10.0.0.1',
    '::ffff:10.0.0.1',
    '127.example',
    '127.0.0.1.example',
    '128.0.0.1',
  ])
    expect([host, isLoopback(host)]).toEqual([host, false])
})
