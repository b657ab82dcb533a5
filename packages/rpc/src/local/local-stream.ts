/**
 * A stream between two roles of one process: two ends, each with an inbox of messages by reference.
 *
 * Invariants:
 *   L1  an inbox is emptied in order, in later microtasks, and not while its reader is paused
 *   L2  a writer is refused from `writeHighWaterBytes` on and hears of it at half of that
 *   L3  what was written before an end in good order is delivered before it
 */
import type { BarnabasError } from '@barnabas/protocol';
import type { Cancellation } from '../call-context.js';
import { brokenOffHere, callerGone, cancelledHere, readsTooSlowly, tooLarge } from '../call-errors.js';
import type { Limits } from '../limits.js';
import { StreamEnd } from '../stream-end.js';
import type { Classify } from '../stream-end.js';
import type { Courier } from './courier.js';
import { estimateBytes } from './size.js';

interface Letter {
  readonly message: unknown;
  readonly bytes: number;
}

/** What follows the last letter. */
type Closing = { readonly kind: 'half' } | { readonly kind: 'whole'; readonly error: BarnabasError | undefined };

abstract class LocalEnd extends StreamEnd<unknown, unknown> {
  #inbox: Letter[] = [];
  #inboxBytes = 0;
  #closing: Closing | undefined;
  #paused = false;
  #emptying = false;
  /** The other end was refused and waits for a drain. */
  #owesDrain = false;
  #ended = false;
  /** Takes no letters any more. */
  #shut = false;

  protected constructor(
    protected readonly courier: Courier,
    private readonly limits: Limits,
    classify: Classify,
  ) {
    super(classify);
  }

  protected abstract readonly peer: LocalEnd;

  get bufferedBytes(): number {
    return this.peer.#inboxBytes;
  }

  write(message: unknown): boolean {
    if (this.over || this.#ended) return true;
    const bytes = estimateBytes(message);
    if (bytes > this.limits.maxMessageBytes) {
      this.breakOff(this.classify(tooLarge(bytes, this.limits.maxMessageBytes)));
      return true;
    }
    return this.peer.#accept({ message, bytes });
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#emptySoon();
  }

  protected begin(): void {
    this.#emptySoon();
  }

  /** Nothing more is written here. */
  protected markEnded(): boolean {
    const first = !this.#ended;
    this.#ended = true;
    return first && !this.over;
  }

  /** Tells this end what comes after its inbox. */
  protected announce(closing: Closing): void {
    this.#closing = closing;
    this.#emptySoon();
  }

  /** Takes and delivers nothing more. */
  protected shut(): void {
    this.mute();
    this.#shut = true;
    this.#inbox = [];
    this.#inboxBytes = 0;
  }

  /** Ends this end now, whatever its inbox holds. */
  protected drop(error: BarnabasError): void {
    this.shut();
    this.courier.post(() => this.finish(error));
  }

  /** What this end does once everything before its closing has been delivered. */
  protected abstract onClosing(closing: Closing): void;

  #accept(letter: Letter): boolean {
    if (this.over || this.#shut) return true;
    this.#inbox.push(letter);
    this.#inboxBytes += letter.bytes;
    this.#emptySoon();
    if (this.#inboxBytes > this.limits.maxBufferedBytes && this.#inbox.length > 1) {
      this.breakBoth(readsTooSlowly(this.#inboxBytes, this.limits.maxBufferedBytes));
      return true;
    }
    this.#owesDrain ||= this.#inboxBytes >= this.limits.writeHighWaterBytes;
    return !this.#owesDrain;
  }

  /** Ends both ends now. */
  protected breakBoth(error: BarnabasError): void {
    this.drop(error);
    this.peer.drop(error);
  }

  #emptySoon(): void {
    if (this.#emptying || this.#paused || this.#shut || !this.handled) return;
    this.#emptying = true;
    this.courier.post(() => this.#empty());
  }

  #empty(): void {
    this.#emptying = false;
    // Taken out first: a listener may pause, write, or break everything off while it is called.
    const letters = this.#inbox;
    this.#inbox = [];
    let delivered = 0;
    for (const letter of letters) {
      if (this.#paused || this.#shut) break;
      delivered += 1;
      this.#inboxBytes -= letter.bytes;
      this.receive(letter.message);
    }
    if (this.#shut) return;
    if (delivered < letters.length) this.#inbox = [...letters.slice(delivered), ...this.#inbox];
    this.#payDrain();
    if (this.#paused) return;
    if (this.#inbox.length > 0) this.#emptySoon();
    else this.#close();
  }

  #payDrain(): void {
    if (!this.#owesDrain || this.#inboxBytes > this.limits.writeHighWaterBytes / 2) return;
    this.#owesDrain = false;
    this.peer.receiveDrain();
  }

  #close(): void {
    const closing = this.#closing;
    this.#closing = undefined;
    if (closing !== undefined) this.onClosing(closing);
  }
}

class LocalClientEnd extends LocalEnd {
  peer!: LocalServerEnd;

  constructor(
    courier: Courier,
    limits: Limits,
    classify: Classify,
    private readonly onOver: () => void,
  ) {
    super(courier, limits, classify);
  }

  end(error?: BarnabasError): void {
    if (!this.markEnded()) return;
    if (error !== undefined) this.breakOff(error);
    else this.peer.halfClose();
  }

  cancel(): void {
    if (this.over) return;
    this.breakOff(cancelledHere());
  }

  breakOff(error: BarnabasError): void {
    if (this.over) return;
    this.drop(error);
    this.peer.callerLost(callerGone());
  }

  /** The server's status, which comes after what it wrote. */
  close(error: BarnabasError | undefined): void {
    this.announce({ kind: 'whole', error });
  }

  sever(error: BarnabasError): void {
    if (this.over) return;
    this.drop(error);
    this.peer.callerLost(error);
  }

  protected onClosing(closing: Closing): void {
    if (closing.kind === 'half') return;
    if (closing.error === undefined) this.receiveEnd();
    this.finish(closing.error);
    this.peer.delivered(closing.error);
  }

  protected override finish(error: BarnabasError | undefined): void {
    if (this.over) return;
    super.finish(error);
    this.onOver();
  }
}

class LocalServerEnd extends LocalEnd {
  peer!: LocalClientEnd;

  constructor(
    courier: Courier,
    limits: Limits,
    classify: Classify,
    private readonly cancellation: Cancellation,
  ) {
    super(courier, limits, classify);
  }

  end(error?: BarnabasError): void {
    if (!this.markEnded()) return;
    this.shut();
    this.peer.close(error);
  }

  cancel(): void {
    if (this.over) return;
    this.breakBoth(brokenOffHere());
  }

  breakOff(error: BarnabasError): void {
    this.end(error);
  }

  halfClose(): void {
    this.announce({ kind: 'half' });
  }

  callerLost(error: BarnabasError): void {
    if (this.over) return;
    this.cancellation.abort(error);
    this.drop(error);
  }

  /** The client has everything up to and including the status. */
  delivered(error: BarnabasError | undefined): void {
    this.courier.post(() => this.finish(error));
  }

  protected onClosing(_closing: Closing): void {
    this.receiveEnd();
  }

  protected override finish(error: BarnabasError | undefined): void {
    if (error !== undefined) this.cancellation.abort(error);
    super.finish(error);
  }
}

export interface LocalPair {
  readonly client: StreamEnd<unknown, unknown>;
  readonly server: StreamEnd<unknown, unknown>;
  /** Ends both ends at once: the deadline has passed, or the role at the other end is gone. */
  sever(error: BarnabasError): void;
}

export function localPair(
  courier: Courier,
  limits: Limits,
  classify: { readonly client: Classify; readonly server: Classify },
  cancellation: Cancellation,
  onOver: () => void,
): LocalPair {
  const client = new LocalClientEnd(courier, limits, classify.client, onOver);
  const server = new LocalServerEnd(courier, limits, classify.server, cancellation);
  client.peer = server;
  server.peer = client;
  return { client, server, sever: (error) => client.sever(error) };
}
