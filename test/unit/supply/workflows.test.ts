import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { byDigest } from '../../../scripts/release-files.ts'

interface Step {
  readonly name: string
  readonly uses?: string
  readonly run?: string
  readonly env?: Readonly<Record<string, string>>
}

interface Workflow {
  readonly permissions: object
  readonly jobs: Readonly<Record<string, { permissions: object; outputs?: object; steps: readonly Step[] }>>
}

const ROOT = join(import.meta.dirname, '..', '..', '..')
const FOLDER = join(ROOT, '.github', 'workflows')
const read = (name: string) => parse(readFileSync(join(FOLDER, name), 'utf8')) as Workflow
const workflows = readdirSync(FOLDER).map((name): [string, Workflow] => [name, read(name)])
const DIGEST = `sha256:${'0a'.repeat(32)}`

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'workflows-'))
})
afterEach(() => rmSync(root, { recursive: true }))

const stepsOf = (workflow: Workflow) => Object.values(workflow.jobs).flatMap(({ steps }) => steps)

function step(workflow: string, name: string): string {
  return stepsOf(read(workflow)).find((each) => each.name === name)?.run ?? ''
}

/** As the runner does it. */
function runStep(script: string, cwd: string, env: Readonly<Record<string, string>>): string {
  const options = { cwd, env: { PATH: process.env['PATH'], HOME: root, ...env }, input: script, stdio: 'pipe' as const }
  return execFileSync('bash', ['--noprofile', '--norc', '-eo', 'pipefail', '-s'], options).toString()
}

describe.each(workflows)('%s', (_name, workflow) => {
  test('has no right that is not given to a job, and a job at most one to write', () => {
    expect(workflow.permissions).toEqual({})
    for (const { permissions } of Object.values(workflow.jobs)) {
      const rights = Object.entries(permissions)
      for (const right of rights)
        expect(['contents:read', 'contents:write', 'packages:write']).toContain(right.join(':'))
      expect(rights.filter(([, right]) => right === 'write').length).toBeLessThan(2)
    }
  })

  test('runs nothing of anybody else that could be another thing tomorrow', () => {
    for (const { uses } of stepsOf(workflow)) if (uses !== undefined) expect(uses).toMatch(/@[0-9a-f]{40}$/)
  })

  test('puts nothing that somebody may have named into a script, and no token where packages run', () => {
    for (const { name, run = '', env = {} } of stepsOf(workflow)) {
      expect(run, name).not.toContain('${{')
      if (/npm|\.ci\/run|docker build /.test(run)) expect(JSON.stringify(env), name).not.toMatch(/token|secrets/i)
    }
  })
})

describe('a change', () => {
  test('is checked by what a submission must pass, and so is a release before anything of it is made', () => {
    expect(stepsOf(read('ci.yaml')).map(({ run }) => run)).toContain('.ci/run')
    const { check, ...others } = read('release.yaml').jobs as Record<string, { needs?: string; steps: readonly Step[] }>
    expect(check?.steps.map(({ run }) => run)).toContain('.ci/run')
    expect(Object.values(others).map(({ needs }) => needs)).toEqual(['check', 'image'])
  })
})

describe('the steps', () => {
  test.each(['ci.yaml', 'release.yaml'])('check out the very commit, and keep no token: %s', (workflow) => {
    const from = join(root, 'server', 'owner', 'name')
    mkdirSync(from, { recursive: true })
    const git = (...args: string[]) => execFileSync('git', args, { cwd: from, stdio: 'pipe' }).toString().trim()
    git('init', '--quiet')
    const commit = (text: string) => {
      writeFileSync(join(from, 'file'), text)
      git('add', 'file')
      git('-c', 'user.name=x', '-c', 'user.email=x@localhost', 'commit', '--quiet', '--message', text)
      return git('rev-parse', 'HEAD')
    }
    const sha = commit('wanted')
    commit('newer')
    const into = join(root, 'into')
    mkdirSync(into)
    const server = { GITHUB_SERVER_URL: `file://${join(root, 'server')}`, GITHUB_REPOSITORY: 'owner/name' }
    runStep(step(workflow, 'Check out'), into, { ...server, GITHUB_SHA: sha, TOKEN: 'secret-token' })
    expect(readFileSync(join(into, 'file'), 'utf8')).toBe('wanted')
    const config = readFileSync(join(into, '.git', 'config'), 'utf8')
    expect(config).not.toMatch(/secret-token|Authorization/)
  })

  test('build on the base image by its digest, and say both images by theirs', () => {
    const bin = join(root, 'bin')
    mkdirSync(bin)
    writeFileSync(
      join(bin, 'docker'),
      `#!/bin/sh
echo "$*" >> '${root}/called'
case "$*" in
  "buildx imagetools inspect "*) echo ${DIGEST} ;;
  "image inspect "*) echo host.example/owner/shardcluster@${DIGEST} ;;
  login*) cat >> '${root}/called' ;;
esac
`,
    )
    chmodSync(join(bin, 'docker'), 0o755)
    const output = join(root, 'output')
    const PATH = `${bin}:${process.env['PATH']}`
    const env = { PATH, GITHUB_OUTPUT: output, GITHUB_REF_NAME: 'v1.2.3', GITHUB_ACTOR: 'me', TOKEN: 'secret-token' }
    const run = (name: string, more: object = {}) => runStep(step('release.yaml', name), ROOT, { ...env, ...more })
    const build = 'Build on the base image as it is now, by its digest'
    expect(() => run(build, { IMAGE: '' })).toThrow(/set the repository variable IMAGE/)
    for (const name of [build, 'Push']) run(name, { IMAGE: 'host.example/owner/shardcluster' })
    const said = Object.fromEntries(
      readFileSync(output, 'utf8')
        .trim()
        .split('\n')
        .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    )
    expect(said).toEqual({
      base: `node:24-trixie-slim@${DIGEST}`,
      image: `host.example/owner/shardcluster@${DIGEST}`,
    })
    for (const [name, reference] of Object.entries(said)) expect(byDigest(reference, name)).toBe(reference)
    expect(readFileSync(join(root, 'called'), 'utf8')).toContain(
      `build --build-arg BASE_IMAGE=${said['base']} --tag host.example/owner/shardcluster:1.2.3 .\n`,
    )
    expect(readFileSync(join(root, 'called'), 'utf8')).toContain('password-stdin host.example\nsecret-token\n')
  })
})
