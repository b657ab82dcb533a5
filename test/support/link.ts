/**
 * One direction of the network between two nodes, and the bytes of one connection that pass along it.
 *
 * A cut link loses nothing for good: TCP would send it again when the link is mended, so what comes
 * meanwhile is held, and the end of a connection is held like any other byte.
 */
import type { Socket } from 'node:net';
import type { Clock, Timer, Timers } from '@barnabas/common';

export interface LinkTime {
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly timers: Timers;
}

/** What a connection may hold before it stops reading; the kernel holds the rest. */
const MAX_HELD_BYTES = 256 * 1024;

/** All connections from one node to another, this way. */
export class Link {
  readonly #flows = new Set<Flow>();
  #cuts = 0;
  #delayMs = 0;
  #bytesPerSecond = Number.POSITIVE_INFINITY;
  /** Until then earlier bytes take up the width of the link. */
  #busyUntilMs = 0;

  constructor(private readonly time: LinkTime) {}

  get isCut(): boolean {
    return this.#cuts > 0;
  }

  get delayMs(): number {
    return this.#delayMs;
  }

  /** Bytes that wait here, over all connections. */
  get heldBytes(): number {
    return [...this.#flows].reduce((sum, flow) => sum + flow.heldBytes, 0);
  }

  /** Cuts may lie over each other: the link is whole again when each has been mended. */
  cut(): void {
    this.#cuts++;
  }

  mend(): void {
    this.#cuts = Math.max(0, this.#cuts - 1);
    if (!this.isCut) for (const flow of [...this.#flows]) flow.pump();
  }

  slow({ delayMs, bytesPerSecond }: { readonly delayMs: number; readonly bytesPerSecond: number }): void {
    this.#delayMs = delayMs;
    this.#bytesPerSecond = bytesPerSecond;
    this.#busyUntilMs = 0;
  }

  quicken(): void {
    this.slow({ delayMs: 0, bytesPerSecond: Number.POSITIVE_INFINITY });
  }

  /** When bytes that come now are through. */
  dueMs(bytes: number): number {
    const nowMs = this.time.clock.monotonic();
    const begins = Math.max(nowMs, this.#busyUntilMs);
    this.#busyUntilMs = begins + (bytes / this.#bytesPerSecond) * 1000;
    return this.#busyUntilMs + this.#delayMs;
  }

  add(flow: Flow): void {
    this.#flows.add(flow);
  }

  remove(flow: Flow): void {
    this.#flows.delete(flow);
  }
}

type Held = { readonly dueMs: number } & ({ readonly bytes: Buffer } | { readonly end: 'fin' | 'reset' });

/** The bytes of one connection, one way: from the socket that reads to the one that writes. */
export class Flow {
  readonly #held: Held[] = [];
  #heldBytes = 0;
  #timer: Timer | undefined;
  #isOver = false;

  constructor(
    private readonly link: Link,
    private readonly from: Socket,
    private readonly to: Socket,
    private readonly time: LinkTime,
  ) {
    link.add(this);
    from.on('data', (bytes: Buffer) => this.#take({ bytes, dueMs: link.dueMs(bytes.length) }));
    from.on('end', () => this.#take({ end: 'fin', dueMs: link.dueMs(0) }));
    from.on('close', (hadError: boolean) => this.#take({ end: hadError ? 'reset' : 'fin', dueMs: link.dueMs(0) }));
    to.on('drain', () => this.pump());
    to.on('close', () => this.stop());
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Passes on what is due. */
  pump(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    while (!this.#isOver && !this.link.isCut) {
      const [next] = this.#held;
      if (next === undefined) break;
      const waitMs = next.dueMs - this.time.clock.monotonic();
      if (waitMs > 0) {
        this.#timer = this.time.timers.after(waitMs, () => this.pump());
        break;
      }
      if ('bytes' in next && this.to.writableNeedDrain) return;
      this.#held.shift();
      this.#pass(next);
    }
    if (this.#heldBytes < MAX_HELD_BYTES && this.from.isPaused()) this.from.resume();
  }

  stop(): void {
    this.#isOver = true;
    this.#timer?.cancel();
    this.#held.length = 0;
    this.#heldBytes = 0;
    this.link.remove(this);
  }

  #take(held: Held): void {
    if (this.#isOver) return;
    this.#held.push(held);
    if ('bytes' in held) this.#heldBytes += held.bytes.length;
    if (this.#heldBytes >= MAX_HELD_BYTES) this.from.pause();
    this.pump();
  }

  #pass(held: Held): void {
    if ('bytes' in held) {
      this.#heldBytes -= held.bytes.length;
      this.to.write(held.bytes);
    } else if (held.end === 'fin') this.to.end();
    else this.to.resetAndDestroy();
  }
}
