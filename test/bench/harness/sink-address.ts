/** Where a forwarder brings its events, as every one of them is told. */
export type SinkAddress =
  | { readonly kind: 'http' | 'http-event'; readonly url: string }
  | {
      readonly kind: 'nats' | 'redis' | 'rabbitmq'
      readonly port: number
      readonly username: string
      readonly password: string
    }

/** Names in the brokers. */
export const STREAM_KEY = 'discord'
