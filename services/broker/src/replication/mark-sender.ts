/**
 * How far the leader is, for one follower: log end, high watermark and log start of what it follows. What
 * moves in one turn of the event loop goes out in one message; what batches have carried meanwhile, not
 * at all.
 */
import type { internal } from '@barnabas/protocol';
import { markToProto, response } from './messages.js';
import type { Outlet } from './outlet.js';
import type { Served } from './served.js';

export class MarkSender {
  readonly #marked: Served[] = [];
  #isDue = false;

  constructor(private readonly outlet: Outlet) {}

  moved(served: Served): void {
    if (served.isMarked) return;
    served.isMarked = true;
    this.#marked.push(served);
    if (this.#isDue) return;
    this.#isDue = true;
    void Promise.resolve().then(() => this.#send());
  }

  /** The stream takes messages again. */
  drained(): void {
    if (this.#isDue) this.#send();
  }

  #send(): void {
    if (this.outlet.isBlocked) return;
    this.#isDue = false;
    const partitions: internal.LeaderMark[] = [];
    for (const served of this.#marked.splice(0)) {
      // Batches have carried it meanwhile, or will.
      if (!served.isMarked || served.state === 'ended') continue;
      served.isMarked = false;
      partitions.push(markToProto(served.handle, served.mark));
    }
    if (partitions.length > 0) this.outlet.send(response({ $case: 'marks', marks: { partitions } }));
  }
}
