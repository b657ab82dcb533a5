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

const message = { type: 'heartbeat', from: 1, to: 2, term: 3, commitIndex: 4, round: 5 } as const;
const answer: internal.RaftMessage = {
  term: 3,
  body: { $case: 'heartbeatResponse', heartbeatResponse: { round: 5 } },
};

describe('Link', () => {
  const setUp = () => {
    const time = new VirtualTime();
    const received: PeerMessage[] = [];
    return { time, received, link: new Link(1, 2, time, (one) => received.push(one)) };
  };

  it('drops what it cannot send, and uses the newest stream', () => {
    const { link, received } = setUp();
    const [old, recent] = [new FakeStream(), new FakeStream()];
    link.send(message);
    link.attach(old);
    link.send(message);
    link.attach(recent);
    link.send(message);
    expect([old.written.length, recent.written.length]).toEqual([1, 1]);
    expect(old.cancelled).toBe(true);
    link.onMessage(old, answer);
    expect(received).toEqual([]);
    link.onMessage(recent, answer);
    expect(received).toEqual([{ type: 'heartbeatResponse', from: 2, to: 1, term: 3, round: 5 }]);
    link.detach(old);
    link.send(message);
    expect(recent.written).toHaveLength(2);
    link.detach(recent);
    link.send(message);
    expect(recent.written).toHaveLength(2);
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
