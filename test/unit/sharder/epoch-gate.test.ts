import { beforeEach, describe, expect, it } from 'vitest'
import { EpochGate } from '../../../sharder/epoch-gate.ts'
import { epochOf, firstTermAt } from '../../../src/domain/epoch.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

let clock: VirtualClock
let leader: number

beforeEach(() => {
  clock = new VirtualClock(Date.UTC(2026, 0, 1))
  leader = epochOf(firstTermAt(clock.date()), 1)
})

describe('an epoch that no leader can have yet', () => {
  it.each([Number.MAX_SAFE_INTEGER, epochOf(firstTermAt(new Date('2026-01-09')), 1)])('is refused (%d)', (epoch) => {
    const gate = new EpochGate(clock)
    expect(gate.refusal(epoch)).toMatchObject({
      code: 'BAD_REQUEST',
      message: expect.stringMatching(`^epoch ${epoch} .* \\(it is 2026-01-01T00:00:00.000Z here\\).*clocks.*Lease`),
    })
    expect(gate.refusal(leader)).toBeUndefined()
  })

  it('is one a week later', () => {
    const gate = new EpochGate(clock)
    const later = epochOf(firstTermAt(new Date('2026-01-09')), 1)
    clock.setWall(Date.UTC(2026, 0, 2))
    expect(gate.refusal(later)).toBeUndefined()
  })

  it('is not what the worker has obeyed, whatever its clock says by now', () => {
    const gate = new EpochGate(clock)
    gate.obey(leader)
    clock.setWall(Date.UTC(2021, 0, 1))
    expect(gate.refusal(leader + 1)).toBeUndefined()
    // Another process of the pod has the same from its file.
    expect(new EpochGate(clock, leader).refusal(leader + 1)).toBeUndefined()
  })
})
