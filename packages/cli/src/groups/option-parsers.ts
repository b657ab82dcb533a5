/** Readers of option values of `barnabas groups` for commander. */
import type { GroupState } from '@barnabas/client';
import { InvalidArgumentError } from 'commander';
import { parseDateTime, parseDuration } from '../text/times.js';

const STATES: readonly GroupState[] = ['Empty', 'Assigning', 'Reconciling', 'Stable', 'Dead'];

/** Names in any case, with commas between. */
export function groupStates(text: string): readonly GroupState[] {
  return text.split(',').map((part) => {
    const state = STATES.find((one) => one.toLowerCase() === part.trim().toLowerCase());
    if (state !== undefined) return state;
    throw new InvalidArgumentError(`Must be of ${STATES.join(', ')}, with commas between them.`);
  });
}

export function dateTime(text: string): number {
  const ms = parseDateTime(text);
  if (ms !== undefined) return ms;
  throw new InvalidArgumentError('Must be a time like 2026-07-01T12:00:00.000, with a zone or in UTC.');
}

export function duration(text: string): number {
  const ms = parseDuration(text);
  if (ms !== undefined) return ms;
  throw new InvalidArgumentError('Must be a duration of days, hours, minutes and seconds like P7D or PT1H30M.');
}
