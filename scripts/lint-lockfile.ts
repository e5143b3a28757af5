/** Every package that is ever installed is checked against package-lock.json: this checks that file. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { lockfileProblems } from './lockfile.ts'

const path = join(import.meta.dirname, '..', 'package-lock.json')
const problems = lockfileProblems(JSON.parse(readFileSync(path, 'utf8')))
for (const problem of problems) console.error(`package-lock.json: ${problem}`)
if (problems.length > 0) process.exitCode = 1
