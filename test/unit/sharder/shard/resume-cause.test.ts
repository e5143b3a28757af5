import { expect, it } from 'vitest'
import { resumeCause } from '../../../../sharder/shard/resume-cause.ts'

const ended = { code: 4000, byUs: false, reconnectAsked: false, invalidResumable: undefined }

it.each([
  ['op7', { ...ended, byUs: true, reconnectAsked: true }, undefined],
  ['op9', { ...ended, byUs: true, invalidResumable: true }, undefined],
  ['close', ended, undefined],
  ['close', { ...ended, code: 1001 }, undefined],
  ['lost', { ...ended, code: 1006 }, undefined],
  ['lost', { ...ended, code: 1005 }, undefined],
  ['zombie', { ...ended, byUs: true }, 'zombie'],
  ['silence', { ...ended, byUs: true }, 'silence'],
  ['fault', { ...ended, byUs: true, fault: 'payload' }, undefined],
  ['other', { ...ended, byUs: true }, undefined],
  // It had been left, but the peer was faster.
  ['lost', { ...ended, code: 1006 }, 'zombie'],
] as const)('%s', (cause, how, leaving) => expect(resumeCause(how, leaving)).toBe(cause))
