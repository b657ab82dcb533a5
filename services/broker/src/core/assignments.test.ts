import { MetadataDelta, emptyImage } from '@barnabas/metadata';
import type { ImageChanges, MetadataImage } from '@barnabas/metadata';
import { internal } from '@barnabas/protocol';
import { assignmentChanges } from './assignments.js';

const NODE = 1;

type Body = NonNullable<internal.MetadataRecord['record']>;

const topic = (name: string, topicId: string): Body => ({ $case: 'topic', topic: { name, topicId } });
const partition = (topicId: string, number: number, replicas: number[]): Body => ({
  $case: 'partition',
  partition: internal.PartitionRecord.create({
    topicId,
    partition: number,
    replicas,
    isr: replicas,
    leader: replicas[0] ?? -1,
    leaderEpoch: 0,
    partitionEpoch: 0,
  }),
});
const moved = (topicId: string, number: number, replicas: number[], leader: number): Body => ({
  $case: 'partitionChange',
  partitionChange: { topicId, partition: number, leader, isr: { ids: replicas }, replicas: { ids: replicas } },
});
const removed = (topicId: string): Body => ({ $case: 'removeTopic', removeTopic: { topicId } });
const config = (resourceType: number, resourceName: string, key: string, value: string): Body => ({
  $case: 'config',
  config: { resourceType, resourceName, key, value },
});

function after(base: MetadataImage, ...records: Body[]): { changes: ImageChanges; image: MetadataImage } {
  const delta = new MetadataDelta(base);
  for (const record of records) delta.replay({ record });
  return { changes: delta, image: delta.apply({ offset: base.offset + records.length, term: 1 }) };
}

function changesOf({ changes, image }: { changes: ImageChanges; image: MetadataImage }): string[] {
  const found = assignmentChanges(NODE, changes, image, () => ({ 'min.insync.replicas': 1 }));
  return found.map((change) =>
    change.kind === 'assign'
      ? `assign ${change.assignment.topicId}-${change.assignment.partition} leader ${change.assignment.leader}`
      : `unassign ${change.topicId}-${change.partition}${change.deleted ? ' deleted' : ''}`,
  );
}

const base = after(
  emptyImage,
  topic('orders', 'A'),
  partition('A', 0, [1, 2]),
  partition('A', 1, [2, 3]),
  partition('A', 2, [2, 1]),
);

describe('what a change of metadata means for one broker', () => {
  it('is the partitions it holds a replica of, led here or not', () => {
    expect(changesOf(base)).toEqual(['assign A-0 leader 1', 'assign A-2 leader 2']);
  });

  it('leaves out what has not changed', () => {
    expect(changesOf(after(base.image, moved('A', 2, [1, 2], 1)))).toEqual(['assign A-2 leader 1']);
  });

  it('takes replicas away that moved, and brings those that came', () => {
    expect(changesOf(after(base.image, moved('A', 0, [2, 3], 2), moved('A', 1, [1], 1)))).toEqual([
      'unassign A-0',
      'assign A-1 leader 1',
    ]);
  });

  it('puts the end of a topic before the beginning of its successor', () => {
    const again = after(base.image, removed('A'), topic('orders', 'B'), partition('B', 0, [1]));
    expect(changesOf(again)).toEqual(['unassign A-0 deleted', 'unassign A-2 deleted', 'assign B-0 leader 1']);
  });

  it('brings a new configuration to every partition that it concerns', () => {
    const two = after(base.image, topic('other', 'C'), partition('C', 0, [1]));
    const ofTopic = after(two.image, config(1, 'other', 'min.insync.replicas', '2'));
    expect(changesOf(ofTopic)).toEqual(['assign C-0 leader 1']);
    const ofBroker = after(two.image, config(2, '', 'min.insync.replicas', '2'));
    expect(changesOf(ofBroker).sort()).toEqual(['assign A-0 leader 1', 'assign A-2 leader 2', 'assign C-0 leader 1']);
  });
});
