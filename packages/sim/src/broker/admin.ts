/** Somebody who deletes records and asks for offsets, and checks what he is told. */
import { BarnabasError, v1 } from '@barnabas/protocol';
import { Violation } from '../kernel/violation.js';
import type { BrokerProcess } from './broker-process.js';
import type { PartitionHistory } from './partition-history.js';
import type { World } from './world.js';

export class Admin {
  constructor(private readonly world: World) {
    this.#act();
  }

  #act(): void {
    const { scheduler, dice } = this.world;
    scheduler.after(dice.between(5, 200), 'admin', () => {
      this.#something().catch((error: unknown) => {
        if (!(error instanceof BarnabasError)) this.world.fail(error);
      });
      if (!this.world.isEnding) this.#act();
    });
  }

  async #something(): Promise<void> {
    const { broker, dice, plan, authority, history } = this.world;
    const topic = dice.pick(plan.topics);
    const number = dice.below(topic.partitions);
    const partition = history.partition(authority.topicId(topic.name) ?? '', number);
    if (broker?.serves !== true || partition === undefined) return;
    if (dice.chance(0.3)) await this.#deleteRecords(broker, partition);
    else await this.#listOffsets(broker, partition);
  }

  async #deleteRecords(broker: BrokerProcess, partition: PartitionHistory): Promise<void> {
    const { dice, tally, history, trace } = this.world;
    const beforeOffset = dice.between(0, partition.toldEndOffset);
    partition.deletionAsked = Math.max(partition.deletionAsked, beforeOffset);
    const entry = { topic: partition.plan.name, partition: partition.partition, beforeOffset };
    trace.note(`  deletes ${partition.lane} before ${beforeOffset}`);
    const { results } = await broker.deleteRecords({ entries: [entry] });
    const [result] = results;
    trace.note(`  answered ${result?.logStartOffset} for ${partition.lane} before ${beforeOffset}`);
    if (result === undefined || result.error !== undefined || !broker.isAlive) return;
    // A topic made again meanwhile is another, and this was promised of it or of none.
    if (history.partition(partition.topicId, partition.partition) === undefined) return;
    tally.count('deletions of records');
    if (result.logStartOffset < beforeOffset) {
      throw new Violation('log-start', 'records were said to be deleted, but the log start is below', {
        ...{ partition: partition.lane, beforeOffset, logStartOffset: result.logStartOffset },
      });
    }
    partition.deletedBefore = Math.max(partition.deletedBefore, beforeOffset);
  }

  async #listOffsets(broker: BrokerProcess, partition: PartitionHistory): Promise<void> {
    const { dice, scheduler, tally } = this.world;
    const timestampMs = scheduler.clock().now() - dice.between(0, scheduler.elapsedMs);
    const spec = dice.pick([
      { $case: 'earliest' as const, earliest: true },
      { $case: 'latest' as const, latest: true },
      { $case: 'timestampMs' as const, timestampMs },
      { $case: 'maxTimestamp' as const, maxTimestamp: true },
    ]);
    const entry = { topic: partition.plan.name, partition: partition.partition, spec };
    const { results } = await broker.listOffsets(v1.ListOffsetsRequest.create({ entries: [entry] }));
    const [result] = results;
    if (result === undefined || result.error !== undefined || !broker.isAlive) return;
    tally.count(`offsets listed by ${spec.$case}`);
    const replica = broker.node?.driver.find(partition.plan.name, partition.partition);
    if (replica === undefined) return;
    const isTooLate = spec.$case === 'timestampMs' && result.offset !== -1 && result.timestampMs < timestampMs;
    if (result.offset > replica.highWatermark || isTooLate) {
      throw new Violation('offsets', 'an offset was listed that is not committed or not what was asked for', {
        ...{ partition: partition.lane, asked: spec.$case, offset: result.offset, timestampMs: result.timestampMs },
      });
    }
  }
}
