/** What one run of vitest came to, written to a file, so that `npm test` can say at its end what failed in any stage. */
import { writeFileSync } from 'node:fs'
import type { SerializedError } from 'vitest'
import type { Reporter, TestCase, TestModule } from 'vitest/node'

export interface StageReport {
  passed: number
  skipped: number
  /** A line each: tests, files that could not be loaded or set up, and errors that belong to no test. */
  failures: string[]
}

/** Where the report goes. `STAGE_REPORT` and not an option, because vitest's command line has none for a reporter. */
export const REPORT_VARIABLE = 'STAGE_REPORT'

export default class StageReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const file = process.env[REPORT_VARIABLE]
    if (file !== undefined) writeFileSync(file, JSON.stringify(summarize(modules, unhandled)))
  }
}

/** Counts the tests of a run and names what failed in it. */
function summarize(modules: readonly TestModule[], unhandled: readonly SerializedError[]): StageReport {
  const report: StageReport = { passed: 0, skipped: 0, failures: [] }
  for (const module of modules) {
    const file = module.relativeModuleId
    for (const error of module.errors()) report.failures.push(line(file, error))
    for (const suite of module.children.allSuites()) {
      for (const error of suite.errors()) report.failures.push(line(`${file} > ${suite.fullName}`, error))
    }
    for (const test of module.children.allTests()) count(report, file, test)
  }
  for (const error of unhandled) report.failures.push(line('outside of any test', error))
  return report
}

function count(report: StageReport, file: string, test: TestCase): void {
  const { state, errors } = test.result()
  if (state === 'passed') report.passed += 1
  else if (state === 'failed') report.failures.push(line(`${file} > ${test.fullName}`, errors[0]))
  else report.skipped += 1
}

function line(where: string, error: SerializedError | undefined): string {
  const [message = ''] = (error?.message ?? 'no error was told').split('\n')
  const [place = ''] = /\((?:file:\/\/)?[^()]*\.ts:\d+[^()]*\)/.exec(error?.stack ?? '') ?? []
  return `${where}: ${error?.name ?? 'Error'}: ${message} ${place}`.trimEnd()
}
