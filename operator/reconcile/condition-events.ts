import type { Condition } from '../../src/api/conditions.ts'

/** An event about a condition that changed. */
export interface ConditionEvent {
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  readonly action: string
  readonly note: string
}

/** Conditions that bring bad news when they are True, and the one that does when it is False. */
const isBad = ({ type, status }: Condition): boolean =>
  type === 'Degraded' || type === 'Stalled'
    ? status === 'True'
    : type === 'IdentifyBudgetAvailable' && status === 'False'

/** Ready follows the others while it is False; only that it came true is news of its own. */
const isNews = (condition: Condition): boolean =>
  isBad(condition) ||
  (condition.type === 'Ready'
    ? condition.status === 'True'
    : condition.type === 'Progressing' && condition.status === 'True')

/** Events on changes only: a condition that has another status or reason than before, and that says something. */
export function conditionEvents(before: readonly Condition[], after: readonly Condition[]): ConditionEvent[] {
  return after.flatMap((condition) => {
    const known = before.find(({ type }) => type === condition.type)
    const { status, reason, message, type } = condition
    if (known?.status === status && known.reason === reason) return []
    if (isNews(condition))
      return [{ type: isBad(condition) ? 'Warning' : 'Normal', reason, action: type, note: message }]
    if (known && isBad(known))
      return [{ type: 'Normal', reason, action: type, note: `Mended: ${known.reason}. ${message}` }]
    return []
  })
}
