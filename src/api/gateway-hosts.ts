import { z } from 'zod'

/** An entry of `gateway.hosts`: `[ws://]host[:port]`, where host may begin with `*.`. */
const ENTRY = /^(?:wss?:\/\/)?(?:\*\.)?(?:[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?$/

/** Those of Discord: gateway.discord.gg, and what READY names to resume at, such as gateway-us-east1-b.discord.gg. */
export const DISCORD_GATEWAY_HOSTS: readonly string[] = ['*.discord.gg']

/** `spec.gateway.hosts`. */
export const gatewayHosts = z
  .array(
    z
      .string()
      .max(261)
      .regex(
        ENTRY,
        'must be a host such as gateway.example.com, *.example.com, gateway-proxy:8443 or ws://simulator:8080',
      ),
  )
  .min(1)
  .max(16)
  .default([...DISCORD_GATEWAY_HOSTS])
  .describe(
    "Hosts that workers may connect to, and so send the bot token to, whoever says where the gateway is: host or *.suffix, with or without a port. Only wss, unless an entry begins with ws://. The default is Discord's; another is for a gateway of your own, or a simulated Discord.",
  )
