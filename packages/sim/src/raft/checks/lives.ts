/**
 * What a node shows of itself between its start and its end, looked at after every event.
 *
 *   terms     its term never falls
 *   commits   what it takes for committed never shrinks, and it has all of it in its log; what it has
 *             applied never shrinks, and all of it is committed
 */
import type { RaftStatus } from '@barnabas/raft';
import { Violation } from '../../kernel/violation.js';

type Shown = Pick<RaftStatus, 'nodeId' | 'term' | 'commitIndex' | 'appliedIndex' | 'lastIndex'>;

export class LifeChecks {
  readonly #before = new WeakMap<object, Shown>();

  /** `life`: an object that stands for this life of the node. */
  shows(life: object, status: RaftStatus): void {
    const { nodeId, term, commitIndex, appliedIndex, lastIndex } = status;
    const before = this.#before.get(life);
    const shown = { nodeId, term, commitIndex, appliedIndex, lastIndex };
    if (before !== undefined && term < before.term) {
      throw new Violation('terms', 'the term of a node has fallen', { nodeId, term, before: before.term });
    }
    const shrinks = before !== undefined && (commitIndex < before.commitIndex || appliedIndex < before.appliedIndex);
    if (shrinks || commitIndex > lastIndex || appliedIndex > commitIndex) {
      throw new Violation('commits', 'what was committed is so no more', {
        ...shown,
        ...{ committedBefore: before?.commitIndex, appliedBefore: before?.appliedIndex },
      });
    }
    this.#before.set(life, shown);
  }
}
