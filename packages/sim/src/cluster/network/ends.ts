/**
 * The two ends of a call as the parts under test hold them. Messages are encoded when they are
 * written and decoded when they arrive, so neither side can touch what is the other's.
 */
import { BarnabasError } from '@barnabas/protocol';
import type { MessageType } from '@barnabas/rpc';
import { Cancellation, StreamEnd, brokenOffHere, callerGone, cancelledHere } from '@barnabas/rpc/transport';
import type { Classify } from '@barnabas/rpc/transport';
import type { Scope } from '../../kernel/scheduler.js';
import type { Lane, Parcel } from './lane.js';

export interface EndParts {
  readonly classify: Classify;
  readonly scope: Scope;
  /** What it writes to. */
  readonly out: Lane;
  /** What it reads from. */
  readonly incoming: Lane;
  readonly outType: MessageType<unknown>;
  readonly inType: MessageType<unknown>;
  /** What arrives may be changed on the way, by a planted bug. */
  readonly heard: (message: unknown) => unknown;
  readonly onOver: () => void;
}

const unreachablePeer = (): BarnabasError => new BarnabasError('NETWORK_EXCEPTION', 'the simulated connection broke');

abstract class SimulatedEnd extends StreamEnd<unknown, unknown> {
  #ended = false;

  protected constructor(protected readonly parts: EndParts) {
    super(parts.classify);
  }

  get bufferedBytes(): number {
    return this.parts.out.bytes;
  }

  write(message: unknown): boolean {
    const { scope, out, outType } = this.parts;
    if (this.over || this.#ended || scope.isOver) return true;
    return out.push({ kind: 'message', bytes: outType.encode(message).finish() });
  }

  pause(): void {
    this.parts.incoming.pause();
  }

  resume(): void {
    this.parts.incoming.resume();
  }

  /** The connection is dead; this end has found out by itself. */
  lost(): void {
    this.parts.scope.whenMoving(() => this.conclude(unreachablePeer()));
  }

  drained(): void {
    this.parts.scope.after(0, () => this.receiveDrain(), 'may write on');
  }

  abstract arrive(parcel: Parcel): void;

  protected begin(): void {}

  protected markEnded(): boolean {
    const isFirst = !this.#ended;
    this.#ended = true;
    return isFirst && !this.over && !this.parts.scope.isOver;
  }

  protected takeMessage(bytes: Uint8Array): void {
    const { inType, heard } = this.parts;
    this.receive(heard(inType.decode(bytes)));
  }

  /** Nothing more is read here; the listener hears of the end in a later turn. */
  protected leave(error: BarnabasError | undefined): void {
    this.mute();
    this.parts.incoming.close();
    queueMicrotask(() => this.conclude(error));
  }

  protected conclude(error: BarnabasError | undefined): void {
    if (this.over) return;
    this.parts.incoming.close();
    this.finish(error);
    this.parts.onOver();
  }
}

export class ClientEnd extends SimulatedEnd {
  constructor(parts: EndParts) {
    super(parts);
  }

  end(error?: BarnabasError): void {
    if (!this.markEnded()) return;
    if (error !== undefined) this.breakOff(error);
    else this.parts.out.push({ kind: 'half' });
  }

  cancel(): void {
    this.breakOff(cancelledHere());
  }

  breakOff(error: BarnabasError): void {
    if (this.over || this.muted) return;
    this.parts.out.breakOff('gone');
    this.leave(error);
  }

  arrive(parcel: Parcel): void {
    if (parcel.kind === 'message') this.takeMessage(parcel.bytes);
    else if (parcel.kind === 'gone') this.conclude(unreachablePeer());
    else if (parcel.kind === 'status') {
      if (parcel.error === undefined) this.receiveEnd();
      this.conclude(parcel.error);
    }
  }
}

export class ServerEnd extends SimulatedEnd {
  readonly cancellation = new Cancellation();

  constructor(parts: EndParts) {
    super(parts);
  }

  end(error?: BarnabasError): void {
    if (!this.markEnded()) return;
    this.parts.out.push({ kind: 'status', error });
    this.leave(error);
  }

  cancel(): void {
    if (this.over || this.muted) return;
    this.markEnded();
    this.parts.out.breakOff('gone');
    this.leave(brokenOffHere());
  }

  breakOff(error: BarnabasError): void {
    this.end(error);
  }

  arrive(parcel: Parcel): void {
    if (parcel.kind === 'message') this.takeMessage(parcel.bytes);
    else if (parcel.kind === 'half') this.receiveEnd();
    else if (parcel.kind === 'gone') this.conclude(callerGone());
  }

  protected override conclude(error: BarnabasError | undefined): void {
    if (error !== undefined) this.cancellation.abort(error);
    super.conclude(error);
  }
}
