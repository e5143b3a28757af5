#!/usr/bin/env node
import { Command } from 'commander'
import { z } from 'zod'
import { VERSION } from '../support/version.ts'

/**
 * The one program: `shardcluster <command>`. A command's code is loaded when it is called: a sharder must not pay for
 * the Kubernetes client, nor the operator for discordeno.
 */
const program = new Command('shardcluster')
  .description('The Discord gateway of large bots, on Kubernetes')
  .version(VERSION)

const commands: Record<string, () => Promise<Command>> = {
  operator: async () => (await import('../../operator/command.ts')).operatorCommand(),
  sharder: async () => (await import('../../sharder/command.ts')).sharderCommand(),
  'rest-proxy': async () => (await import('../rest-proxy/index.ts')).restProxyCommand(),
  simulator: async () => (await import('../simulator/index.ts')).simulatorCommand(),
  local: async () => (await import('./local-command.ts')).localCommand(),
  'compile-cache': async () => (await import('./compile-cache-command.ts')).compileCacheCommand(),
  'sample-bot': async () => (await import('./sample-bot-command.ts')).sampleBotCommand(),
}

const wanted = process.argv[2]
const names = wanted !== undefined && wanted in commands ? [wanted] : Object.keys(commands)
for (const name of names) {
  const load = commands[name]
  if (load) program.addCommand(await load())
}
try {
  await program.parseAsync()
} catch (error) {
  // What is expected to go wrong says what to do; where it came from helps nobody but us, who set SHARDCLUSTER_STACK.
  const text = process.env['SHARDCLUSTER_STACK'] ? (error as Error).stack : messageOf(error)
  process.stderr.write(`shardcluster ${wanted}: ${text}\n`)
  process.exit(1)
}

function messageOf(error: unknown): string {
  if (error instanceof z.ZodError) return z.prettifyError(error)
  return error instanceof Error ? error.message : String(error)
}
