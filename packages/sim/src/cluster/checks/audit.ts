/**
 * Reads every log of every broker from where all of them have begun to the end of what is committed, when all is healed: replicas must hold
 * the same bytes, and they must be what is committed.
 */
import type { PartitionLog } from '@barnabas/log';
import { isInternalTopic } from '@barnabas/metadata';
import { decodeRecords, splitBatches } from '@barnabas/protocol';
import { Violation } from '../../kernel/violation.js';
import type { Cluster } from '../cluster.js';
import { markIn } from '../truth/replica-log.js';

export async function audit(cluster: Cluster): Promise<void> {
  const { image, brokers, truth } = cluster;
  for (const topic of image?.topics.values() ?? []) {
    for (const [number, { replicas }] of topic.partitions.entries()) {
      const name = `${topic.name}-${number}`;
      const contents: Buffer[] = [];
      const known = truth.find(topic.id, number);
      // What a client has long given up may still arrive, and be appended while this goes on.
      const endOffset = known?.endOffset ?? 0;
      const logs = replicas.map((id) => ({ id, log: brokers[id - 1]?.logs?.log(topic.id, number) }));
      const startOffset = Math.max(0, ...logs.map(({ log }) => log?.logStartOffset ?? 0));
      for (const { id, log } of logs) {
        if (log === undefined) continue;
        const content = await readAll(log, startOffset, endOffset);
        cluster.tally.count('logs read');
        const [first] = contents;
        // Internal topics are compacted, by each replica for itself.
        if (first !== undefined && !isInternalTopic(topic.name) && !first.equals(content)) {
          throw new Violation('audit', 'two replicas differ', { partition: name, broker: id });
        }
        contents.push(content);
      }
      for (const { bytes } of splitBatches(contents[0] ?? Buffer.alloc(0))) {
        for (const { offset, value } of decodeRecords(bytes)) {
          const mark = value === null ? '' : markIn(value);
          const expected = known?.markAt(offset);
          if (mark === expected) continue;
          throw new Violation('audit', 'a log does not hold what is committed', {
            partition: name,
            offset,
            mark,
            expected,
          });
        }
      }
    }
  }
}

async function readAll(log: PartitionLog, startOffset: number, endOffset: number): Promise<Buffer> {
  const batches: Buffer[] = [];
  let offset = startOffset;
  while (offset < endOffset) {
    const result = await log.read({ offset, maxBytes: 100_000, maxOffset: endOffset, minOneBatch: true });
    if (result.nextOffset === offset) throw new Violation('audit', 'a log cannot be read to its end', { offset });
    batches.push(...result.batches);
    offset = result.nextOffset;
  }
  return Buffer.concat(batches);
}
