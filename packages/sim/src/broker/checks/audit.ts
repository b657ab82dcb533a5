/**
 * At the end of a run, reads every log from its start to its end as the broker has it and compares:
 * everything that was told is there, dense, once, in its producers' order, and every CRC is right.
 */
import { Violation } from '../../kernel/violation.js';
import { nameOf, readBatches } from '../batches.js';
import type { ReadBatch } from '../batches.js';
import type { BrokerProcess } from '../broker-process.js';
import type { PartitionHistory } from '../partition-history.js';
import type { World } from '../world.js';
import { NumbersInOrder } from './numbers-in-order.js';

const READ_BYTES = 50_000;

export async function audit(world: World, broker: BrokerProcess): Promise<void> {
  for (const partition of world.history.partitions()) {
    if (!partition.isRotten) await auditPartition(world, broker, partition);
  }
}

async function auditPartition(world: World, broker: BrokerProcess, partition: PartitionHistory): Promise<void> {
  const driver = broker.node?.driver;
  const replica = driver?.find(partition.plan.name, partition.partition);
  if (driver === undefined || replica === undefined) {
    throw new Violation('progress', 'a partition is missing at the end', { partition: partition.lane });
  }
  const log = await driver.openLog(replica);
  const { corruption } = await log.verify();
  if (corruption !== undefined) throw new Violation('audit', corruption.message, { partition: partition.lane });
  const order = new NumbersInOrder(world.history);
  // What is not committed yet, from a connection left behind, is nobody's business.
  const maxOffset = replica.highWatermark;
  const { toldEndOffset } = partition;
  let position = log.logStartOffset;
  while (position < maxOffset) {
    const { batches, nextOffset } = await log.read({
      ...{ offset: position, maxBytes: READ_BYTES, maxOffset, minOneBatch: true },
    });
    for (const batch of batches.flatMap(readBatches)) position = auditBatch(world, partition, order, batch, position);
    if (position !== nextOffset)
      throw new Violation('dense', 'a read ends elsewhere than its batches', { position, nextOffset });
  }
  if (position < toldEndOffset) {
    throw new Violation('durable', 'what was told is missing at the end', { partition: partition.lane, position });
  }
}

/** Returns where the next one must begin. */
function auditBatch(
  world: World,
  partition: PartitionHistory,
  order: NumbersInOrder,
  { header, records }: ReadBatch,
  position: number,
): number {
  if (header.baseOffset > position || records.length !== header.lastOffsetDelta + 1) {
    throw new Violation('dense', 'a batch does not follow the one before', {
      ...{ partition: partition.lane, position, baseOffset: header.baseOffset },
    });
  }
  for (const { offset, mark } of records) {
    order.take(partition, offset, mark);
    const known = partition.at(offset);
    if (known !== undefined && nameOf(known) !== nameOf(mark)) {
      throw new Violation('audit', 'the log has another record than was told', {
        ...{ partition: partition.lane, offset, told: nameOf(known), found: nameOf(mark) },
      });
    }
    world.history.told(partition, offset, mark);
  }
  return header.lastOffset + 1;
}
