import { VirtualTime } from '@barnabas/common';
import type { Timers } from '@barnabas/common';
import { CoreCluster, SESSION_TIMEOUT_MS } from '../test-kit/core-cluster.js';
import { SessionWatch } from './session-watch.js';

/** A watch whose looks come as late as `lateMs` says, and when each broker was found expired. */
class Watched {
  readonly core = new CoreCluster();
  readonly time = new VirtualTime();
  readonly expiredAt: number[] = [];
  lateMs = 0;
  readonly watch: SessionWatch;

  constructor() {
    const timers: Timers = { after: (delayMs, callback) => this.time.after(delayMs + this.lateMs, callback) };
    this.core.now = this.time.monotonic();
    this.core.join(1);
    this.watch = new SessionWatch({
      sessions: this.core.sessions,
      image: () => this.core.image,
      clock: this.time,
      timers,
      timeoutMs: SESSION_TIMEOUT_MS,
      expire: () => this.expiredAt.push(this.time.monotonic()),
    });
    this.watch.arm();
  }
}

test('a silent broker is found when its session is over', () => {
  const watched = new Watched();
  watched.time.advance(SESSION_TIMEOUT_MS);
  expect(watched.expiredAt).toEqual([SESSION_TIMEOUT_MS]);
});

test('a controller that stood still gives brokers half a session to be heard', () => {
  const watched = new Watched();
  watched.watch.stop();
  watched.lateMs = 10 * SESSION_TIMEOUT_MS;
  watched.watch.arm();
  watched.lateMs = 0;
  watched.time.advance(11 * SESSION_TIMEOUT_MS);
  expect(watched.expiredAt).toEqual([]);
  watched.time.advance(SESSION_TIMEOUT_MS / 2);
  expect(watched.expiredAt).toEqual([11.5 * SESSION_TIMEOUT_MS]);
});

test('a controller whose looks are always late forgives once', () => {
  const watched = new Watched();
  watched.watch.stop();
  watched.lateMs = SESSION_TIMEOUT_MS;
  watched.watch.arm();
  watched.time.advance(10 * SESSION_TIMEOUT_MS);
  // Late at 2 sessions, forgiven until 2.5, and looked at again, late, at 3.5.
  expect(watched.expiredAt).toEqual([3.5 * SESSION_TIMEOUT_MS]);
});

test('a look that was on time makes room for forgiveness again', () => {
  const watched = new Watched();
  const standStill = (sessions: number) => {
    watched.watch.stop();
    watched.lateMs = 2 * SESSION_TIMEOUT_MS;
    watched.watch.arm();
    watched.lateMs = 0;
    watched.time.advance(sessions * SESSION_TIMEOUT_MS);
  };
  const heard = () => {
    watched.core.now = watched.time.monotonic();
    watched.core.heartbeat(1);
  };
  standStill(3);
  heard();
  watched.time.advance(SESSION_TIMEOUT_MS / 2); // A look on time, at somebody who has been heard.
  standStill(2.5);
  expect(watched.expiredAt).toEqual([]);
  watched.time.advance(SESSION_TIMEOUT_MS / 2);
  expect(watched.expiredAt).toEqual([6.5 * SESSION_TIMEOUT_MS]);
});
