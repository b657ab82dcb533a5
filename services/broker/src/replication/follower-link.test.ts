/** The life of a stream to a leader, beyond what clusters of brokers show. */
import { SeededRandom, silentLogger, VirtualTime } from '@barnabas/common';
import type { internal } from '@barnabas/protocol';
import type { ReplicaDriver, ReplicaPartition } from '../runtime/replica-driver.js';
import { FollowerLink } from './follower-link.js';
import type { FollowerLinkOptions } from './follower-link.js';
import type { LeaderStream } from './messages.js';
import type { ThrottledCredit } from './throttled-credit.js';

type Handler = Parameters<LeaderStream['handle']>[0];

const leaderHello = { response: { $case: 'hello', hello: { leaderId: 2, leaderBrokerEpoch: 7 } } };

it('opens nothing any more once it has stopped, although what it ends wants to be followed anew', () => {
  const time = new VirtualTime();
  const partition = {} as ReplicaPartition;
  const handlers: Handler[] = [];
  let isCancelled = false;
  const stream = {
    handle: (handler: Handler) => handlers.push(handler),
    write: () => true,
    end() {},
    cancel() {
      isCancelled = true;
    },
  } as unknown as LeaderStream;
  const credit = { begin() {}, end() {} } as unknown as ThrottledCredit;
  const driver = {
    linked: () => link.ask(partition, 1, { logStartOffset: 0, logEndOffset: 0, lastEpoch: -1 } as never),
    // As the core does: it goes on wanting what it follows.
    unlinked: () => link.attach(partition),
  } as unknown as ReplicaDriver;
  const options: FollowerLinkOptions = {
    nodeId: 1,
    clusterId: 'c',
    driver,
    brokerEpoch: () => 3,
    openStream: () => stream,
    windowBytes: 1024,
    timeoutMs: 1_000,
    isThrottled: () => false,
    newThrottledCredit: () => credit,
    clock: time,
    timers: time,
    random: new SeededRandom(1),
    logger: silentLogger,
  };
  const link = new FollowerLink(2, options, () => 1);
  link.attach(partition);
  handlers[0]?.onMessage(leaderHello as unknown as internal.ReplicateResponse);
  expect(handlers).toHaveLength(1);
  link.stop();
  expect(isCancelled).toBe(true);
  link.attach(partition);
  time.advance(60_000);
  expect(handlers).toHaveLength(1);
});
