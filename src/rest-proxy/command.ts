import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { Command, InvalidArgumentError, Option } from 'commander'
import { createLogger } from '../support/logger.ts'
import { numeric } from '../support/option.ts'
import type { RestProxyOptions } from './options.ts'
import { startRestProxy } from './server.ts'

/** The flags, as commander hands them over. */
interface Flags {
  readonly host: string
  readonly port: number
  readonly tokenFile?: string
  readonly token?: string
  readonly authorizationFile?: string
  readonly authorization?: string
  readonly discordUrl?: string
  readonly timeout?: number
  readonly maxRetries?: number
  readonly bodyLimit?: number
  readonly memoryBudget?: number
  readonly logLevel: string
}

/** `shardcluster rest-proxy`: Discord's REST API for many processes with one token, until SIGTERM or SIGINT. */
export function restProxyCommand(): Command {
  return (
    new Command('rest-proxy')
      .description("Run a REST proxy: it holds the bot's token and obeys Discord's rate limits for all callers")
      .addOption(new Option('--host <address>', 'address to listen on').env('REST_PROXY_HOST').default('0.0.0.0'))
      .addOption(numeric('--port <number>', 'port to listen on', 'REST_PROXY_PORT').default(8000))
      .addOption(new Option('--token-file <file>', 'file with the bot token').env('TOKEN_FILE'))
      // Without a flag: an argument would show in the process list.
      .addOption(new Option('--token <token>', 'bot token').env('TOKEN').hideHelp())
      .addOption(
        new Option('--authorization-file <file>', 'file with the key of the callers').env('AUTHORIZATION_FILE'),
      )
      .addOption(new Option('--authorization <key>', 'key of the callers').env('AUTHORIZATION').hideHelp())
      .addOption(new Option('--discord-url <url>', 'base URL of the API').env('DISCORD_URL'))
      .addOption(numeric('--timeout <ms>', 'how long a caller waits at most', 'REST_PROXY_TIMEOUT'))
      .addOption(numeric('--max-retries <number>', 'retries after a 429', 'REST_PROXY_MAX_RETRIES'))
      .addOption(numeric('--body-limit <bytes>', 'largest request body', 'REST_PROXY_BODY_LIMIT'))
      .addOption(
        numeric(
          '--memory-budget <bytes>',
          'requests and answers under way; default: a quarter of the memory limit',
          'REST_PROXY_MEMORY_BUDGET',
        ),
      )
      .addOption(new Option('--log-level <level>', 'trace to fatal, or silent').env('LOG_LEVEL').default('info'))
      .action(run)
  )
}

async function run(flags: Flags): Promise<void> {
  const log = createLogger('rest-proxy', flags.logLevel)
  const options = optionsOf(flags)
  const proxy = await startRestProxy(options, log)
  log.info({ url: proxy.url, discordUrl: options.discordUrl, memoryBudget: proxy.memoryBudget }, 'listening')
  const [signal] = await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')])
  log.info({ signal }, 'stopping')
  await proxy.close()
}

/** Reads the files. Throws an InvalidArgumentError when the token or the key is missing. */
export function optionsOf(flags: Flags): RestProxyOptions {
  const optional = {
    discordUrl: flags.discordUrl,
    timeoutMs: flags.timeout,
    maxRetries: flags.maxRetries,
    bodyLimit: flags.bodyLimit,
    memoryBudget: flags.memoryBudget,
  }
  return {
    host: flags.host,
    port: flags.port,
    token: secret('token', flags.tokenFile, flags.token).replace(/^Bot /, ''),
    authorization: secret('authorization', flags.authorizationFile, flags.authorization),
    ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)),
  }
}

function secret(name: string, file: string | undefined, value: string | undefined): string {
  const text = (file === undefined ? value : readFileSync(file, 'utf8'))?.trim()
  if (text) return text
  const variable = name.toUpperCase()
  throw new InvalidArgumentError(`no ${name}: give --${name}-file, or set ${variable}_FILE or ${variable}`)
}
