/**
 * One direction of one call: parcels on their way, delivered in order, each in an event of its own,
 * none while the reader is paused or the way is cut.
 *
 * Invariant: a parcel is handed over only when the one before it has been taken.
 */
import type { BarnabasError } from '@barnabas/protocol';
import type { Dice } from '../../kernel/dice.js';
import type { Scheduler } from '../../kernel/scheduler.js';
import type { Links } from './links.js';

export type Parcel =
  /** A call begins; with the request, unless requests are streamed. */
  | { readonly kind: 'open'; readonly bytes: Uint8Array | undefined }
  | { readonly kind: 'message'; readonly bytes: Uint8Array }
  /** The client has said all it will say. */
  | { readonly kind: 'half' }
  /** The server's last word. */
  | { readonly kind: 'status'; readonly error: BarnabasError | undefined }
  /** The other end has broken the call off. */
  | { readonly kind: 'gone' }
  /** The connection is dead, with all its calls. */
  | { readonly kind: 'reset' };

export interface LaneParts {
  readonly scheduler: Scheduler;
  readonly dice: Dice;
  readonly links: Links;
  readonly from: string;
  readonly to: string;
  /** For the trace. */
  readonly what: string;
  /** Bytes on their way from which on the writer is asked to wait. */
  readonly fullAtBytes: number;
  /** Takes a parcel, now or later, and says when it has. */
  readonly handOver: (parcel: Parcel, taken: () => void) => void;
  /** The writer was asked to wait, and may go on. */
  readonly onDrained: () => void;
}

interface Travelling {
  readonly parcel: Parcel;
  readonly arrivesAtMs: number;
}

const sizeOf = (parcel: Parcel): number => ('bytes' in parcel ? (parcel.bytes?.byteLength ?? 0) : 0);

export class Lane {
  readonly #travelling: Travelling[] = [];
  readonly #label: string;
  #bytes = 0;
  #lastArrivalMs = 0;
  #isMoving = false;
  #isPaused = false;
  #isClosed = false;
  #hasLost = false;
  #owesDrain = false;

  constructor(private readonly parts: LaneParts) {
    this.#label = `${parts.from} > ${parts.to} ${parts.what}`;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** False: full; onDrained follows. */
  push(parcel: Parcel): boolean {
    if (this.#isClosed || this.#hasLost) return true;
    const { scheduler, links, from, to, what, fullAtBytes } = this.parts;
    this.#lastArrivalMs = Math.max(this.#lastArrivalMs, scheduler.elapsedMs + links.delayMs(from, to, what));
    this.#travelling.push({ parcel, arrivesAtMs: this.#lastArrivalMs });
    this.#bytes += sizeOf(parcel);
    this.#move();
    this.#owesDrain ||= this.#bytes >= fullAtBytes;
    return !this.#owesDrain;
  }

  /** Of what is on its way, everything behind some point is lost; then the reader hears why. */
  breakOff(kind: 'gone' | 'reset'): void {
    if (this.#hasLost || this.#isClosed) return;
    this.lose();
    this.#hasLost = false;
    this.#isPaused = false;
    this.push({ kind });
    this.#hasLost = true;
  }

  /** The same, but nobody tells the reader. */
  lose(): void {
    if (this.#hasLost || this.#isClosed) return;
    const kept = this.parts.dice.below(this.#travelling.length + 1);
    for (const { parcel } of this.#travelling.splice(kept)) this.#bytes -= sizeOf(parcel);
    this.#hasLost = true;
  }

  pause(): void {
    if (!this.#hasLost) this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#move();
  }

  /** The reader wants nothing more. */
  close(): void {
    this.#isClosed = true;
    this.#travelling.length = 0;
    this.#bytes = 0;
  }

  #move(): void {
    const [head] = this.#travelling;
    if (head === undefined || this.#isMoving || this.#isPaused || this.#isClosed) return;
    const { scheduler, links, from, to } = this.parts;
    this.#isMoving = true;
    if (links.isCut(from, to)) {
      links.whenJoined(from, to, () => {
        this.#isMoving = false;
        this.#move();
      });
    } else scheduler.after(Math.max(0, head.arrivesAtMs - scheduler.elapsedMs), this.#label, () => this.#arrive());
  }

  #arrive(): void {
    const { links, from, to, handOver } = this.parts;
    const isHeldUp = this.#isPaused || links.isCut(from, to);
    const head = isHeldUp ? undefined : this.#travelling.shift();
    if (head === undefined) {
      this.#isMoving = false;
      this.#move();
      return;
    }
    this.#bytes -= sizeOf(head.parcel);
    handOver(head.parcel, () => {
      this.#isMoving = false;
      this.#payDrain();
      this.#move();
    });
  }

  #payDrain(): void {
    if (!this.#owesDrain || this.#bytes > this.parts.fullAtBytes / 2) return;
    this.#owesDrain = false;
    this.parts.onDrained();
  }
}
