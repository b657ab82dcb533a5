import { VirtualTime } from '@barnabas/common';
import type { internal } from '@barnabas/protocol';
import type { PeerMessage } from '../peer-message.js';
import { Link } from './link.js';
import type { LinkStream } from './link.js';

class FakeStream implements LinkStream {
  readonly written: internal.RaftMessage[] = [];
  cancelled = false;
  bufferedBytes = 0;
  write(message: internal.RaftMessage): void {
    this.written.push(message);
  }
  cancel(): void {
    this.cancelled = true;
  }
}

const SELF = { id: 1, directoryId: 'one' };
const PEER = { id: 2, directoryId: 'two' };
const there = { from: 1, fromDirectory: 'one', to: 2, toDirectory: 'two', term: 3 };
const back = { from: 2, fromDirectory: 'two', to: 1, toDirectory: 'one', term: 3 };
const message = { type: 'heartbeat', ...there, commitIndex: 4, round: 5 } as const;
const answer: internal.RaftMessage = {
  term: 3,
  body: { $case: 'heartbeatResponse', heartbeatResponse: { round: 5 } },
};

describe('Link', () => {
  const setUp = () => {
    const time = new VirtualTime();
    const received: PeerMessage[] = [];
    return { time, received, link: new Link(SELF, PEER, time, (one) => received.push(one)) };
  };

  it('drops what it cannot send, speaks on the newest stream and listens to all', () => {
    const { link, received } = setUp();
    const [old, recent] = [new FakeStream(), new FakeStream()];
    const heard = { type: 'heartbeatResponse', ...back, round: 5 };
    link.send(message);
    link.onMessage(old, answer);
    link.attach(old);
    link.send(message);
    link.attach(recent);
    link.send(message);
    expect([old.written.length, recent.written.length]).toEqual([1, 1]);
    link.onMessage(old, answer);
    link.onMessage(recent, answer);
    expect(received).toEqual([heard, heard]);
    link.detach(recent);
    link.send(message);
    expect([old.written.length, recent.written.length, link.isEmpty]).toEqual([2, 1, false]);
    link.detach(old);
    link.send(message);
    link.onMessage(old, answer);
    expect([old.written.length, received.length, link.isEmpty]).toEqual([2, 2, true]);
  });

  it('keeps few streams, whatever a peer opens', () => {
    const { link } = setUp();
    const streams = Array.from({ length: 6 }, () => new FakeStream());
    for (const stream of streams) link.attach(stream);
    expect(streams.map(({ cancelled }) => cancelled)).toEqual([true, true, false, false, false, false]);
    link.close();
    expect(streams.every(({ cancelled }) => cancelled)).toBe(true);
  });

  it('holds back while the peer does not read, so that memory stays bounded', () => {
    const { link } = setUp();
    const stream = new FakeStream();
    link.attach(stream);
    stream.bufferedBytes = 9 << 20;
    link.send(message);
    expect(stream.written).toEqual([]);
    stream.bufferedBytes = 0;
    link.send(message);
    expect(stream.written).toHaveLength(1);
  });

  it('gives up a stream on which it is never answered', () => {
    const { link, time } = setUp();
    const stream = new FakeStream();
    link.attach(stream);
    for (let second = 0; second < 20; second++) {
      link.send(message);
      time.advance(1_000);
      if (second < 10) link.onMessage(stream, answer);
      if (second === 14) expect(stream.cancelled).toBe(false);
    }
    expect(stream.cancelled).toBe(true);
    link.close();
  });
});
