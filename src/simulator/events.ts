import { avatarHash, MESSAGES, snowflake, userName, words } from './made-up.ts'
import { intentMask } from './rules/index.ts'

/** An event whose bytes are ready except for the head with its numbers. */
export interface EventTemplate {
  readonly name: string
  /** The intent it needs. */
  readonly intent: number
  /** Its share of the traffic. */
  readonly weight: number
  /** What follows the counted fields inside `d`, with the two closing braces: they take turns. */
  readonly tails: readonly Buffer[]
}

const USER = {
  username: 'nelly',
  public_flags: 64,
  id: '80351110224678912',
  global_name: 'Nelly',
  avatar: 'a_8342729096ea3675442027381ff50dfe',
}
const MEMBER = {
  roles: ['41771983423143936', '41771983423143937', '41771983423143938'],
  premium_since: null,
  pending: false,
  nick: null,
  mute: false,
  joined_at: '2021-04-26T06:25:13.123000+00:00',
  flags: 0,
  deaf: false,
  communication_disabled_until: null,
  banner: null,
  avatar: null,
}
const WORDS = 'the quick brown fox jumps over the lazy dog and asks the bot for one more song in the queue please '

/** Names, intents, shares and bodies after real traffic of a large public bot; a MESSAGE_CREATE is about 1.2 kB. */
export const EVENT_TEMPLATES: readonly EventTemplate[] = [
  event('MESSAGE_CREATE', intentMask('GuildMessages'), 45, ...MESSAGES.map(message)),
  event('PRESENCE_UPDATE', intentMask('GuildPresences'), 20, {
    user: { id: USER.id },
    status: 'online',
    client_status: { desktop: 'online' },
    broadcast: null,
    activities: [
      {
        type: 0,
        timestamps: { start: 1_715_700_000_000 },
        name: 'Factorio',
        id: 'ec0b28a579ecb4bd',
        created_at: 1_715_700_000_123,
      },
    ],
  }),
  event('TYPING_START', intentMask('GuildMessageTyping'), 12, {
    user_id: USER.id,
    timestamp: 1_715_700_000,
    member: { ...MEMBER, user: USER },
    channel_id: '290926798999357250',
  }),
  event('MESSAGE_REACTION_ADD', intentMask('GuildMessageReactions'), 8, {
    user_id: USER.id,
    type: 0,
    message_id: '1239980112233445566',
    member: { ...MEMBER, user: USER },
    emoji: { name: '🔥', id: null },
    channel_id: '290926798999357250',
    burst: false,
  }),
  event('GUILD_MEMBER_UPDATE', intentMask('GuildMembers'), 6, { user: USER, ...MEMBER }),
  event('VOICE_STATE_UPDATE', intentMask('GuildVoiceStates'), 6, {
    member: { ...MEMBER, user: USER },
    user_id: USER.id,
    suppress: false,
    session_id: '30f32c5d54ae86130fc4a215c7474263',
    self_video: false,
    self_mute: false,
    self_deaf: false,
    request_to_speak_timestamp: null,
    mute: false,
    deaf: false,
    channel_id: '157733188964188161',
  }),
  event('CHANNEL_UPDATE', intentMask('Guilds'), 3, {
    type: 0,
    topic: WORDS,
    position: 6,
    name: 'general',
    id: '41771983423143937',
    nsfw: false,
    permission_overwrites: [],
  }),
]

/** A GUILD_CREATE of about `bytes` bytes, with as many channels as that takes. */
export function guildTemplate(bytes: number): EventTemplate {
  const channel = {
    type: 0,
    topic: WORDS,
    position: 1,
    permission_overwrites: [],
    name: 'general',
    id: '41771983423143937',
  }
  const fixed = {
    name: 'Simulated guild',
    owner_id: USER.id,
    unavailable: false,
    member_count: 1000,
    large: true,
    roles: [],
    emojis: [],
  }
  const channels = Math.max(0, Math.round((bytes - 400) / JSON.stringify(channel).length))
  return event('GUILD_CREATE', intentMask('Guilds'), 0, {
    ...fixed,
    members: [MEMBER],
    channels: Array(channels).fill(channel),
  })
}

const cycles = new Map<number, readonly number[]>()

/**
 * Indexes into EVENT_TEMPLATES in the order in which a session with `intents` receives them, weights kept. A fixed
 * cycle instead of chance: cheap, and the same in each run. Empty when the intents ask for none of them.
 */
export function eventCycle(intents: number): readonly number[] {
  const known = cycles.get(intents)
  if (known !== undefined) return known
  const slots = EVENT_TEMPLATES.flatMap(({ weight, intent }, index) =>
    (intents & intent) === 0 ? [] : Array.from({ length: weight }, (_, i) => ({ index, position: (i + 0.5) / weight })),
  )
  const cycle = slots.sort((a, b) => a.position - b.position).map((slot) => slot.index)
  cycles.set(intents, cycle)
  return cycle
}

/** Message `n` of as many that share what real ones share, and no more: else compression would cost nothing. */
function message(n: number): object {
  const user = { ...USER, username: userName(n), id: snowflake(8 * n), avatar: avatarHash(n) }
  return {
    type: 0,
    tts: false,
    timestamp: '2024-05-14T17:11:02.321000+00:00',
    pinned: false,
    nonce: snowflake(8 * n + 1),
    mentions: [USER],
    mention_roles: [],
    mention_everyone: false,
    member: { ...MEMBER, roles: [snowflake(8 * n + 2), snowflake(8 * n + 3), snowflake(8 * n + 4)] },
    id: snowflake(8 * n + 5),
    flags: 0,
    embeds: [],
    edited_timestamp: null,
    content: words(n, 300),
    components: [],
    channel_id: snowflake(8 * n + 6),
    author: { ...user, discriminator: '0', clan: null, avatar_decoration_data: null },
    attachments: [],
  }
}

function event(name: string, intent: number, weight: number, ...bodies: readonly object[]): EventTemplate {
  const tails = bodies.map((body) => Buffer.from(`,${JSON.stringify(body).slice(1)}}`))
  return { name, intent, weight, tails }
}
