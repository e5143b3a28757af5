import { spawnSync } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'

const LOGGER = join(import.meta.dirname, '..', '..', '..', 'src', 'support', 'logger.ts')

test('a log that nobody takes any more (a closed terminal, a full disk) does not end the process', () => {
  const full = openSync('/dev/full', 'w')
  onTestFinished(() => closeSync(full))
  const program = `
    import { createLogger } from ${JSON.stringify(LOGGER)}
    const logger = createLogger('test')
    for (let i = 0; i < 3; i++) logger.info('a line')
    setImmediate(() => console.log('goes on'))`
  const { status, stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', full],
    encoding: 'utf8',
  })
  expect({ status, stdout }).toEqual({ status: 0, stdout: 'goes on\n' })
})
