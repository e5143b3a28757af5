import type { Transform } from 'node:stream'
import { constants, createInflate, createZstdDecompress, type Zlib } from 'node:zlib'
import { FROM_GATEWAY } from '../../src/limits.ts'
import type { GatewayOptions } from '../../src/protocol/commands.ts'

/** Tells where a payload ends among the messages of a compressed stream. */
interface End {
  /** Whether the stream so far, with [from, to) as its newest message, ends a payload. */
  reachedBy(bytes: Buffer, from: number, to: number): boolean
}

/** One way of transport compression: one stream for the life of a connection, flushed after each payload. */
export interface Codec {
  readonly name: 'zlib' | 'zstd'
  /** The `compress` query of a gateway URL. */
  readonly query: string
  /** How writes are flushed. */
  readonly flush: number
  /** Payloads up to this many bytes cannot be cut within a message without the stream noticing. */
  readonly surelyWhole: number
  open(chunkSize: number): Transform & Zlib
  end(): End
}

const zlib: Codec = {
  name: 'zlib',
  query: 'zlib-stream',
  flush: constants.Z_SYNC_FLUSH,
  surelyWhole: Number.POSITIVE_INFINITY,
  open: (chunkSize) => createInflate({ chunkSize, flush: constants.Z_SYNC_FLUSH }),
  /** Discord ends each payload with an empty stored block, 00 00 FF FF, which may itself be cut in two by messages. */
  end() {
    let lastFour = 0xffffffff
    return {
      reachedBy(bytes, from, to) {
        for (let i = Math.max(from, to - 4); i < to; i++) lastFour = ((lastFour << 8) | (bytes[i] as number)) >>> 0
        return lastFour === 0x0000ffff
      },
    }
  },
}

/** A block of zstd (RFC 8878, section 3.1.1.2.4) comes out as a whole or not at all. */
const BLOCK_BYTES = 128 * 1024

const zstd: Codec = {
  name: 'zstd',
  query: 'zstd-stream',
  flush: constants.ZSTD_e_continue,
  surelyWhole: BLOCK_BYTES,
  open: (chunkSize) =>
    createZstdDecompress({ chunkSize, params: { [constants.ZSTD_d_windowLogMax]: FROM_GATEWAY.zstdWindowLog } }),
  /** One payload is one message; there is no mark. */
  end: () => ({ reachedBy: () => true }),
}

/** The codec of each way of compression; undefined: payloads come as they are. */
export const CODECS: Readonly<Record<GatewayOptions['compression'], Codec | undefined>> = {
  None: undefined,
  ZlibStream: zlib,
  ZstdStream: zstd,
}
