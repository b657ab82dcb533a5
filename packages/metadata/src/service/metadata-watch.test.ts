import type { v1 } from '@barnabas/protocol';
import type { ResponseStream, StreamListener } from '@barnabas/rpc';
import { broker, smallCluster, topic } from '../test-kit/scripted-source.js';
import type { ScriptedSource } from '../test-kit/scripted-source.js';
import { MetadataWatches } from './metadata-watch.js';

type Response = v1.WatchMetadataResponse;

/** Takes messages until it is told to be full. */
class Watching implements ResponseStream<Response> {
  readonly bufferedBytes = 0;
  written: Response[] = [];
  full = false;
  ended = false;
  listener: StreamListener<never> | undefined;

  handle(listener: StreamListener<never>): void {
    this.listener = listener;
  }

  write(message: Response): boolean {
    this.written.push(message);
    return !this.full;
  }

  end(): void {
    this.ended = true;
  }

  drain(): void {
    this.full = false;
    this.listener?.onDrain?.();
  }

  take(): Response[] {
    return this.written.splice(0);
  }

  cancel(): void {}
  pause(): void {}
  resume(): void {}
}

let source: ScriptedSource;
let watches: MetadataWatches;

beforeEach(() => {
  source = smallCluster();
  watches = new MetadataWatches(source);
  source.publisher = watches;
});

function watch(...names: string[]): Watching {
  const stream = new Watching();
  watches.add(names, stream);
  return stream;
}

const topicNames = (message: Response | undefined) => message?.topics.map(({ name }) => name);

test('the state comes first, then each change', () => {
  const stream = watch();
  expect(stream.take()).toMatchObject([
    {
      full: true,
      clusterId: 'cluster',
      controllerId: 1,
      metadataOffset: source.image.offset,
      brokers: [
        { id: 1, host: 'broker-1', port: 7700, rack: 'r', fenced: false },
        { id: 2, fenced: true },
      ],
      topics: [{ name: 'a' }, { name: 'b', partitions: [{ partition: 0 }, { partition: 1, leader: 1 }] }],
    },
  ]);
  source.write({ $case: 'partitionChange', partitionChange: { topicId: 'id of b', partition: 1, leader: -1 } });
  source.write(broker(2, false), ...topic('c', 1));
  source.write({ $case: 'removeTopic', removeTopic: { topicId: 'id of a' } });
  source.write({ $case: 'unregisterBroker', unregisterBroker: { brokerId: 2, brokerEpoch: 2 } });
  expect(stream.take()).toMatchObject([
    { full: false, brokers: [], topics: [{ name: 'b', partitions: [{ leader: 1 }, { leader: -1, leaderEpoch: 1 }] }] },
    { brokers: [{ id: 2, fenced: false }], topics: [{ name: 'c' }] },
    { topics: [], removedTopics: ['a'] },
    { removedBrokers: [2], brokers: [] },
  ]);
});

test('only watched topics are told, and what concerns nobody is not sent', () => {
  const stream = watch('b', 'later');
  expect(topicNames(stream.take()[0])).toEqual(['b']);
  source.write(...topic('c', 1));
  source.write({ $case: 'removeTopic', removeTopic: { topicId: 'id of a' } });
  source.write({ $case: 'config', config: { resourceType: 1, resourceName: 'b', key: 'retention.ms', value: '1' } });
  // Configurations are no part of this stream.
  expect(stream.take()).toEqual([]);
  source.write(...topic('later', 1));
  expect(topicNames(stream.take()[0])).toEqual(['later']);
});

test('a topic that is deleted and created again at once has changed, not gone', () => {
  const stream = watch();
  stream.take();
  const created = topic('a', 1).map((record) =>
    record.$case === 'topic'
      ? ({ $case: 'topic', topic: { name: 'a', topicId: 'another' } } as const)
      : ({
          $case: 'partition',
          partition: { ...(record.$case === 'partition' ? record.partition : never()), topicId: 'another' },
        } as const),
  );
  source.write({ $case: 'removeTopic', removeTopic: { topicId: 'id of a' } }, ...created);
  expect(stream.take()).toMatchObject([{ removedTopics: [], topics: [{ name: 'a', topicId: 'another' }] }]);
});

function never(): never {
  throw new Error('only topics and partitions here');
}

test('a watcher that reads slowly is sent nothing meanwhile, and the whole state then', () => {
  const stream = watch();
  stream.full = true;
  stream.take();
  source.write(...topic('c', 1));
  expect(topicNames(stream.take()[0])).toEqual(['c']);
  for (let n = 0; n < 100; n++) source.write(...topic(`d${n}`, 1));
  expect(stream.take()).toEqual([]);
  stream.drain();
  const [state, ...rest] = stream.take();
  expect(rest).toEqual([]);
  expect(state).toMatchObject({ full: true, metadataOffset: source.image.offset });
  expect(topicNames(state)).toHaveLength(103);
  source.write(...topic('e', 1));
  expect(stream.take()).toMatchObject([{ full: false, topics: [{ name: 'e' }] }]);
});

test('a watcher that has drained and missed nothing is sent nothing', () => {
  const stream = watch();
  stream.take();
  stream.drain();
  expect(stream.take()).toEqual([]);
});

test('a change of the active controller is told with the next change, whatever it is', () => {
  const stream = watch('nothing');
  stream.take();
  source.controllerId = 2;
  source.write(...topic('c', 1));
  expect(stream.take()).toMatchObject([{ controllerId: 2, topics: [] }]);
});

test('watchers that watch everything share what is sent; one that is gone is forgotten', () => {
  const [one, two] = [watch(), watch()];
  one.take();
  two.take();
  source.write(...topic('c', 1));
  expect(one.written[0]).toBe(two.written[0]);
  one.listener?.onClose(undefined);
  expect(watches.size).toBe(1);
  watches.stop();
  expect([one.ended, two.ended, watches.size]).toEqual([false, true, 0]);
  // One that comes back to the node that stops would hold it up.
  expect(() => watch()).toThrow(expect.objectContaining({ errorName: 'BROKER_NOT_AVAILABLE' }));
});
