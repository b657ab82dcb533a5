/**
 * Judges the broker's answers to producers in the moment in which it gives them: what it says was
 * written stands where it says, below the end of what is stable, and is remembered from then on.
 */
import { present } from '@barnabas/common';
import type { v1 } from '@barnabas/protocol';
import { Violation } from '../../kernel/violation.js';
import type { BrokerProcess } from '../broker-process.js';
import { describeBatch } from '../producer-lane.js';
import type { LaneBatch } from '../producer-lane.js';
import type { World } from '../world.js';

export function observeAnswer(
  world: World,
  broker: BrokerProcess,
  requests: ReadonlyMap<number, readonly LaneBatch[]>,
  { correlationId, response, error: refusal }: v1.ProduceStreamResponse,
): void {
  const batches = present(requests.get(correlationId), 'the request of an answer', { correlationId });
  if (refusal !== undefined) world.trace.note(`  refused as a whole: ${refusal.message}`);
  for (const { entry, error, baseOffset } of response?.results ?? []) {
    const batch = present(batches[entry], 'the batch of a result');
    if (error === undefined) acknowledged(world, broker, batch, baseOffset);
    else world.trace.note(`  refused ${describeBatch(batch)}: ${error.message}`);
  }
}

function acknowledged(world: World, broker: BrokerProcess, batch: LaneBatch, baseOffset: number): void {
  const { lane, firstNumber, records } = batch;
  const replica = broker.node?.driver.find(lane.topic.name, lane.partition);
  if (replica === undefined)
    throw new Violation('answers', 'a batch of no partition was acknowledged', { lane: lane.name });
  world.trace.note(`  acknowledged ${describeBatch(batch)} at ${baseOffset}`);
  world.tally.count('batches acknowledged');
  const endOffset = baseOffset + records;
  if (baseOffset < 0 || endOffset > replica.stableEndOffset) {
    throw new Violation('answers', 'a batch was acknowledged before it was stable', {
      ...{ lane: lane.name, baseOffset, endOffset, stableEndOffset: replica.stableEndOffset },
    });
  }
  const partition = world.history.spokenOf(replica.topicId, lane.partition);
  if (partition === undefined) return;
  if (endOffset <= partition.toldEndOffset) world.tally.count('batches acknowledged again');
  for (let index = 0; index < records; index++) {
    const mark = { session: lane.session.id, lane: lane.name, number: firstNumber + index };
    world.history.told(partition, baseOffset + index, mark);
  }
}
