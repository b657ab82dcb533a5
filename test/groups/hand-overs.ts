/**
 * How partitions went from one assignment to the next: what was given twice, how much that could be at most,
 * and by whose end it came about.
 *
 * Does not judge. Whose end it was is told by who had printed what is given twice: an owner that has printed
 * nothing may come and go in good order between one that was killed and the next.
 */
import type { Troubles } from './troubles.js';

/** One member's time with one partition. */
export interface Assignment {
  readonly member: string;
  readonly memberId: string;
  readonly partition: number;
  readonly atMs: number;
  readonly start: number;
  /** Known to be committed when it began. */
  readonly committed: number;
  /** Behind the last record that was given in it. */
  next: number;
  /** The member has said so. */
  goneAtMs: number;
  wasLost: boolean;
  /** Since then the coordinator says that somebody else owns the partition. */
  deposedAtMs: number;
  wasReported: boolean;
}

/** How an owner let a partition go. `hindered`: it stood still, or was cut off, and has said nothing. */
export type Ending = 'killed' | 'hindered' | 'lost' | 'orderly';

/** A partition has gone from one assignment to the next. */
export interface HandOver {
  readonly partition: number;
  /** Who has printed what is given twice; if nothing is, the owner before. */
  readonly from: string;
  readonly to: string;
  /** How that owner let the partition go. */
  readonly ending: Ending;
  /** A node was in trouble at that time, or had just been. */
  readonly isDisturbed: boolean;
  /** The first offset that is given to the new owner. */
  readonly start: number;
  /** Given twice. */
  readonly repeated: number;
  /** Printed and not known to be committed: so many may be given twice. */
  readonly inFlight: number;
}

/** `assignments` of one partition, in the order in which they began; `killedAtMs` by member. */
export function handOversOf(
  assignments: readonly Assignment[],
  troubles: Troubles,
  killedAtMs: ReadonlyMap<string, number>,
): readonly HandOver[] {
  const handOvers: HandOver[] = [];
  let end = assignments[0]?.next ?? 0;
  for (const [index, to] of assignments.entries()) {
    if (index === 0) continue;
    const { partition, start, next, committed } = to;
    const before = assignments.slice(0, index);
    const printed = before.findLastIndex((one) => Math.min(one.next, next) > Math.max(one.start, start));
    const at = printed === -1 ? index - 1 : printed;
    const [from = to, successor = to] = assignments.slice(at, at + 2);
    handOvers.push({
      ...{ partition, from: from.member, to: to.member, start },
      ending: endingOf(from, successor.atMs, troubles, killedAtMs),
      isDisturbed: troubles.isDisturbed(successor.atMs),
      repeated: Math.max(0, Math.min(end, next) - start),
      inFlight: Math.max(0, end - committed),
    });
    end = Math.max(end, next);
  }
  return handOvers;
}

function endingOf(
  { member, atMs, goneAtMs, wasLost }: Assignment,
  nextAtMs: number,
  troubles: Troubles,
  killedAtMs: ReadonlyMap<string, number>,
): Ending {
  if (wasLost) return 'lost';
  if ((killedAtMs.get(member) ?? Infinity) <= nextAtMs) return 'killed';
  if (goneAtMs > nextAtMs && troubles.wasHindered(member, atMs, nextAtMs)) return 'hindered';
  return 'orderly';
}
