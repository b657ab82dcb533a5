/** The Subscribe streams of one node: takes them in, counts them, and ends them when the node stops. */
import type { BarnabasError } from '@barnabas/protocol';
import type { v1 } from '@barnabas/protocol';
import type { BidiHandler } from '@barnabas/rpc';
import { SubscribeSession } from './subscribe-session.js';
import type { SubscribeParts } from './subscribe-session.js';
import type { SubscribeOutput } from './wire.js';

export class SubscribeService {
  readonly #parts: SubscribeParts;
  readonly #sessions = new Set<SubscribeSession>();
  /** What new streams are refused with, once the node stops. */
  #refusal: BarnabasError | undefined;

  constructor(parts: SubscribeParts) {
    this.#parts = parts;
    parts.metrics.sample({
      streams: () => this.#sessions.size,
      unacknowledgedRecords: () => {
        let records = 0;
        for (const session of this.#sessions) records += session.unacknowledgedRecords;
        return records;
      },
    });
  }

  /** For GroupService.subscribe of ServedGroupService. */
  readonly handler: BidiHandler<v1.SubscribeRequest, SubscribeOutput> = (stream, context) => {
    if (this.#refusal !== undefined) throw this.#refusal;
    const session: SubscribeSession = new SubscribeSession(stream, context, this.#parts, () =>
      this.#sessions.delete(session),
    );
    this.#sessions.add(session);
  };

  /** Clients resume elsewhere, at once; their memberships wait for them. */
  stop(error: BarnabasError): void {
    this.#refusal = error;
    for (const session of [...this.#sessions]) session.stop(error);
  }
}
