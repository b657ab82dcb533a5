/** One link in virtual time, a leader whose every word the test says, and a driver that writes down what it is told. */
import { SeededRandom, VirtualTime, silentLogger } from '@barnabas/common';
import type { BarnabasError } from '@barnabas/protocol';
import type { internal } from '@barnabas/protocol';
import type { StreamListener } from '@barnabas/rpc';
import type { ReplicaDriver, ReplicaPartition } from '../runtime/replica-driver.js';
import type { InboundBatches } from '../runtime/replication-port.js';
import { FollowerLink } from './follower-link.js';
import { response } from './messages.js';
import { TokenBucket } from './throttle.js';
import { ThrottledCredit } from './throttled-credit.js';

const TIMEOUT_MS = 9_000;
const WINDOW = 800;
const MARK = { handle: 0, highWatermark: 1, logStartOffset: 0, logEndOffset: 2 };

class Leader {
  readonly heard: internal.FollowerPart[] = [];
  listener: StreamListener<internal.LeaderPart> | undefined;
  isFull = false;
  cancelled = false;

  readonly stream = {
    handle: (listener: StreamListener<internal.LeaderPart>) => void (this.listener = listener),
    write: (message: internal.FollowerPart) => {
      this.heard.push(message);
      return !this.isFull;
    },
    end: () => {},
    cancel: () => void (this.cancelled = true),
    pause: () => {},
    resume: () => {},
    bufferedBytes: 0,
  };

  say(part: NonNullable<internal.LeaderPart['part']>): void {
    this.listener?.onMessage(response(part));
  }

  hello(): void {
    this.say({ $case: 'hello', hello: { leaderId: 2, leaderBrokerEpoch: 5 } });
  }

  cases(): (string | undefined)[] {
    return this.heard.map(({ part }) => part?.$case);
  }
}

class World {
  readonly time = new VirtualTime();
  readonly leaders: Leader[] = [];
  readonly told: string[] = [];
  readonly inbound: InboundBatches[] = [];
  brokerEpoch: number | undefined = 7;
  isKnown = true;
  onUnlinked = (): void => {};
  #sessions = 0;
  readonly partition = {
    ...{ topic: 'orders', topicId: 'A', partition: 0, isr: [2], leader: 2 },
    ...{ stableEndOffset: 4, logStartOffset: 1 },
  } as unknown as ReplicaPartition;

  readonly link = new FollowerLink(
    2,
    {
      ...{ nodeId: 1, clusterId: 'c', windowBytes: WINDOW, timeoutMs: TIMEOUT_MS, logger: silentLogger },
      driver: this.#driver(),
      brokerEpoch: () => this.brokerEpoch,
      openStream: () => (this.isKnown ? this.#open() : undefined),
      isThrottled: () => false,
      newThrottledCredit: (grant) =>
        new ThrottledCredit(new TokenBucket(() => Infinity, this.time), WINDOW, this.time, grant),
      ...{ clock: this.time, timers: this.time, random: new SeededRandom(1) },
    },
    () => ++this.#sessions,
  );

  get leader(): Leader {
    const leader = this.leaders.at(-1);
    if (leader === undefined) throw new Error('nobody was called');
    return leader;
  }

  /** Attached, linked, and with a question open. */
  asked(handle = 1): void {
    this.link.attach(this.partition);
    this.leader.hello();
    this.ask(handle);
  }

  ask(handle: number): void {
    const question = { leaderEpoch: 3, partitionEpoch: 3, lastEpoch: 2, logStartOffset: 1, logEndOffset: 4 };
    this.link.ask(this.partition, handle, question);
  }

  #open() {
    const leader = new Leader();
    this.leaders.push(leader);
    return leader.stream;
  }

  #driver(): ReplicaDriver {
    const note = (what: string) => (_partition: ReplicaPartition, handle?: number) => {
      this.told.push(handle === undefined ? what : `${what} ${handle}`);
    };
    return {
      linked: note('linked'),
      unlinked: (partition: ReplicaPartition, handle: number) => {
        note('unlinked')(partition, handle);
        this.onUnlinked();
      },
      positioned: note('positioned'),
      marked: note('marked'),
      followEnded: note('ended'),
      batches: (_partition: ReplicaPartition, handle: number, data: InboundBatches) => {
        this.told.push(`batches ${handle}`);
        this.inbound.push(data);
      },
    } as unknown as ReplicaDriver;
  }
}

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(() => world.link.stop());

const turn = () => Promise.resolve();

describe('a stream to a leader', () => {
  it('is opened for the first partition, says who follows, and lets it ask once the leader has answered', () => {
    world.link.attach(world.partition);
    expect(world.leader.heard).toEqual([
      {
        part: {
          $case: 'hello',
          hello: { clusterId: 'c', followerId: 1, followerEpoch: 7, session: 1, leaderId: 2 },
        },
      },
    ]);
    expect(world.told).toEqual([]);
    world.leader.hello();
    expect(world.told).toEqual(['linked']);
    expect(world.leader.heard[1]).toEqual({ part: { $case: 'credit', credit: { bytes: WINDOW, throttledBytes: 0 } } });
    // A second time: it is there already.
    world.link.attach(world.partition);
    expect(world.told).toEqual(['linked', 'linked']);
  });

  it('is opened again with growing pauses and later sessions when it breaks, and questions begin anew', () => {
    world.asked();
    world.leader.listener?.onClose(undefined);
    expect(world.told).toEqual(['linked', 'unlinked 1']);
    const opened: number[] = [];
    for (let ms = 0; ms < 4_000; ms += 5) {
      world.time.advance(5);
      if (world.leaders.length > opened.length + 1) {
        opened.push(ms);
        world.leader.listener?.onClose(new Error('down') as BarnabasError);
      }
    }
    const pauses = opened.slice(1).map((at, index) => at - (opened[index] ?? 0));
    expect(pauses.length).toBeGreaterThan(3);
    expect(pauses.at(-1)).toBeGreaterThan(10 * (pauses[0] ?? 0));
    for (const pause of pauses) expect(pause).toBeLessThanOrEqual(1_005);
    const sessions = world.leaders.map(
      ({ heard: [first] }) => first?.part?.$case === 'hello' && first.part.hello.session,
    );
    expect(sessions).toEqual(sessions.map((_, index) => index + 1));
  });

  it('waits for the metadata log to say where the leader is, and for its own registration', () => {
    world.isKnown = false;
    world.link.attach(world.partition);
    world.time.advance(100);
    world.isKnown = true;
    world.brokerEpoch = undefined;
    world.time.advance(1_000);
    expect(world.leaders).toHaveLength(0);
    world.brokerEpoch = 8;
    world.time.advance(1_000);
    expect(world.leaders).toHaveLength(1);
  });

  it('is given up when nothing is heard for replica.socket.timeout.ms, in spite of pings', () => {
    world.asked();
    const { leader } = world;
    world.time.advance(TIMEOUT_MS / 2);
    leader.say({ $case: 'pong', pong: { number: 1 } });
    world.time.advance(TIMEOUT_MS - 1_000);
    expect(leader.cancelled).toBe(false);
    expect(leader.cases().filter((one) => one === 'ping').length).toBeGreaterThanOrEqual(3);
    world.time.advance(TIMEOUT_MS);
    expect(leader.cancelled).toBe(true);
    expect(world.told).toContain('unlinked 1');
    expect(world.leaders.length).toBeGreaterThan(1);
  });

  it('begins anew when this broker has registered again, and ends with its last partition', () => {
    world.asked();
    world.link.registeredAs(7);
    expect(world.leader.cancelled).toBe(false);
    const first = world.leader;
    world.brokerEpoch = 9;
    world.link.registeredAs(9);
    expect(first.cancelled).toBe(true);
    world.time.advance(1_000);
    expect(world.leader.heard[0]).toMatchObject({ part: { hello: { followerEpoch: 9, session: 2 } } });
    world.link.detach(world.partition);
    expect(world.leader.cancelled).toBe(true);
    world.time.advance(60_000);
    expect(world.leaders).toHaveLength(2);
  });

  it('is not opened any more once the link has stopped, although what it ends wants to be followed anew', () => {
    world.asked();
    // As the core does: it goes on wanting what it follows.
    world.onUnlinked = () => world.link.attach(world.partition);
    world.link.stop();
    expect(world.leader.cancelled).toBe(true);
    world.time.advance(60_000);
    expect(world.leaders).toHaveLength(1);
  });

  it('is opened once when it ended while nobody knew where the leader is', () => {
    world.asked();
    world.isKnown = false;
    // As the core does, in the same turn: an attempt that fails at once, and has its pause before the end is over.
    world.onUnlinked = () => world.link.attach(world.partition);
    world.leader.listener?.onClose(undefined);
    world.time.advance(100);
    world.isKnown = true;
    for (let ms = 0; ms < TIMEOUT_MS / 2; ms += 10) {
      world.time.advance(10);
      if (world.leader.heard.length === 1) world.leader.hello();
    }
    expect(world.leaders).toHaveLength(2);
    expect(world.told).toEqual(['linked', 'unlinked 1', 'linked']);
  });

  it('breaks off with a leader that is another broker, or says what makes no sense', () => {
    world.link.attach(world.partition);
    world.leader.say({ $case: 'hello', hello: { leaderId: 3, leaderBrokerEpoch: 5 } });
    expect(world.leader.cancelled).toBe(true);
    expect(world.told).toEqual([]);
  });
});

describe('a partition that has asked', () => {
  it('is told what the leader says of its handle, and nothing of another', () => {
    world.asked(4);
    const { leader } = world;
    const answer = { $case: 'agreed', agreed: {} } as const;
    for (const handle of [3, 4]) {
      leader.say({ $case: 'position', position: { handle, answer, mark: MARK } });
      leader.say({ $case: 'batches', batches: { handle, batches: Buffer.alloc(10), mark: MARK } });
      leader.say({ $case: 'marks', marks: { partitions: [{ ...MARK, handle }] } });
      leader.say({ $case: 'ended', ended: { handle, error: undefined } });
    }
    expect(world.told).toEqual(['linked', 'positioned 4', 'batches 4', 'marked 4', 'ended 4']);
  });

  it('takes back the earlier question with a new one', () => {
    world.asked(4);
    world.ask(5);
    expect(world.leader.cases().filter((one) => one === 'follow' || one === 'unfollow')).toEqual([
      'follow',
      'unfollow',
      'follow',
    ]);
  });

  it('acknowledges once for what happens in one turn, as it is when the message leaves', async () => {
    world.asked(4);
    world.link.acknowledge(world.partition, 4);
    world.link.acknowledge(world.partition, 4);
    world.link.acknowledge(world.partition, 3);
    Object.assign(world.partition, { stableEndOffset: 9 });
    await turn();
    const partitions = [{ handle: 4, stableEndOffset: 9, logStartOffset: 1 }];
    expect(world.leader.heard.slice(3)).toEqual([{ part: { $case: 'acknowledge', acknowledge: { partitions } } }]);
  });

  it('does not acknowledge into a full stream, and catches up when it drains', async () => {
    world.asked(4);
    world.leader.isFull = true;
    world.link.acknowledge(world.partition, 4);
    await turn();
    const heard = world.leader.heard.length;
    world.link.acknowledge(world.partition, 4);
    await turn();
    expect(world.leader.heard).toHaveLength(heard);
    world.leader.isFull = false;
    world.leader.listener?.onDrain?.();
    expect(world.leader.cases().at(-1)).toBe('acknowledge');
  });

  it('grants credit again for what is on the disk, in parts of the window', () => {
    world.asked(4);
    for (let n = 0; n < 2; n++) {
      world.leader.say({ $case: 'batches', batches: { handle: 4, batches: Buffer.alloc(60), mark: MARK } });
    }
    world.inbound[0]?.release();
    expect(world.leader.cases().filter((one) => one === 'credit')).toHaveLength(1);
    world.inbound[1]?.release();
    expect(world.leader.heard.at(-1)).toEqual({ part: { $case: 'credit', credit: { bytes: 120, throttledBytes: 0 } } });
  });
});
