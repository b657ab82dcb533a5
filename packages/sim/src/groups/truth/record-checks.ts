/**
 * What every committed record must be, seen against the state before it.
 *
 *   epochs        epochs of groups and targets grow; those of a member too, within an incarnation
 *   offsets-back  a committed offset falls only by a reset or by going back, which somebody has asked for; and
 *                 going back is counted, so that nothing which was asked for before it comes after it
 *   sound         G1 to G5 of the protocol, behind every record
 *   balanced      a new target of the uniform assignor is balanced within one where all subscribe alike
 *   sticky        of what a member had before it keeps as much as balance leaves it
 */
import { checkGroup, partitionKey, targetOf } from '@barnabas/broker/parts';
import type { GroupImage, GroupRecord, MemberImage } from '@barnabas/broker/parts';
import { Violation } from '../../kernel/violation.js';
import type { Rewinds } from './rewinds.js';

/** Of a target that is in force: who had what, and who was there. */
type Targets = ReadonlyMap<string, ReadonlySet<string>>;

export class RecordChecks {
  readonly #targets = new Map<string, Targets>();

  constructor(private readonly rewinds: Rewinds) {}

  check(record: GroupRecord, before: GroupImage, after: GroupImage): void {
    if (record.type === 'offsetCommit') {
      const key = partitionKey(record.key.topicId, record.key.partition);
      this.#checkOffset(key, before, after);
      return;
    }
    this.#checkEpochs(record, before, after);
    try {
      checkGroup(after);
    } catch (error) {
      throw new Violation('sound', String(error), { group: after.id, record: record.type });
    }
    if (record.type === 'target' && record.value !== undefined) this.#checkTarget(after);
  }

  #checkOffset(key: string, before: GroupImage, after: GroupImage): void {
    const [was, is] = [before.offsets.get(key), after.offsets.get(key)];
    if (was === undefined || is === undefined) return;
    const isSame = is.rewinds === was.rewinds && is.offset >= was.offset;
    if (isSame || (is.rewinds > was.rewinds && this.rewinds.allows(after.id, key, is))) return;
    throw new Violation('offsets-back', 'a committed offset fell, and nobody had asked for that', {
      ...{ group: after.id, partition: key, was: `${was.rewinds}:${was.offset}`, is: `${is.rewinds}:${is.offset}` },
    });
  }

  #checkEpochs(record: GroupRecord, before: GroupImage, after: GroupImage): void {
    const isDeleted = record.type === 'group' && record.value === undefined;
    if (!isDeleted && after.epoch < before.epoch) throw fell('the epoch of a group', before.epoch, after);
    const isForgotten = record.type === 'target' && record.value === undefined;
    if (!isForgotten && after.targetEpoch < before.targetEpoch)
      throw fell('the epoch of a target', before.targetEpoch, after);
    if (record.type !== 'currentAssignment' || record.value === undefined) return;
    const { memberId } = record.key;
    const [was, is] = [before.members.get(memberId), after.members.get(memberId)];
    const isSameLife = was?.incarnation === is?.incarnation && (is?.epoch ?? 0) > 0;
    if (isSameLife && (was?.epoch ?? 0) > (is?.epoch ?? 0)) {
      throw fell(`the epoch of member ${memberId}`, was?.epoch ?? 0, after);
    }
  }

  #checkTarget(group: GroupImage): void {
    const before = this.#targets.get(group.id) ?? new Map<string, ReadonlySet<string>>();
    const now: Targets = new Map([...group.members.keys()].map((id) => [id, targetOf(group, id)]));
    this.#targets.set(group.id, now);
    const members = [...group.members.values()];
    if (members.some(({ serverAssignor }) => serverAssignor === 'range')) return;
    const loads = members.map(({ id }) => now.get(id)?.size ?? 0);
    const spread = Math.max(...loads) - Math.min(...loads);
    const areAlike = members.every((one) => isAlike(one, members[0]));
    if (!areAlike || members.length === 0) return;
    if (spread > 1) throw unfit('balanced', 'a target is not balanced within one', group, now);
    this.#checkMoves(group, before, now);
  }

  #checkMoves(group: GroupImage, before: Targets, now: Targets): void {
    const total = [...now.values()].reduce((sum, { size }) => sum + size, 0);
    const fair = Math.floor(total / now.size);
    const wanted = new Set([...now.values()].flatMap((keys) => [...keys]));
    for (const [id, had] of before) {
      const has = now.get(id);
      if (has === undefined) continue;
      const stillThere = [...had].filter((key) => wanted.has(key));
      const kept = stillThere.filter((key) => has.has(key)).length;
      if (kept < Math.min(stillThere.length, fair)) {
        throw unfit('sticky', `member ${id} kept ${kept} of ${stillThere.length}, with ${fair} for each`, group, now);
      }
    }
  }
}

function isAlike(one: MemberImage, other: MemberImage | undefined): boolean {
  const { topicNames, topicPattern } = other ?? { topicNames: [], topicPattern: '' };
  return one.topicPattern === topicPattern && one.topicNames.join() === topicNames.join();
}

function fell(what: string, was: number, { id, epoch, targetEpoch }: GroupImage): Violation {
  return new Violation('epochs', `${what} fell`, { group: id, was, epoch, targetEpoch });
}

function unfit(check: string, what: string, { id, epoch }: GroupImage, targets: Targets): Violation {
  const loads = [...targets].map(([member, keys]) => `${member}: ${[...keys].join(' ')}`).join('; ');
  return new Violation(check, what, { group: id, epoch, loads });
}
