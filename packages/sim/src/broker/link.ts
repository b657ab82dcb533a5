/**
 * One stream between a client and a broker over a simulated network: messages arrive whole, in
 * order, at most once, each in an event of its own; a break loses what is on its way, in each
 * direction from some point on. The broker's end is the one that its real handlers are given.
 *
 * A client end that was closed hears nothing more; what it sent may still reach the broker.
 */
import { BarnabasError } from '@barnabas/protocol';
import type { Dice } from '../kernel/dice.js';
import type { Scheduler } from '../kernel/scheduler.js';

/** What an end is told; the shape that real handlers give. */
export interface Listener<In> {
  onMessage(message: In): void;
  onEnd?(): void;
  onDrain?(): void;
  onClose(error: BarnabasError | undefined): void;
}

type Parcel<T> =
  | { readonly kind: 'message'; readonly message: T }
  | { readonly kind: 'end' }
  | { readonly kind: 'close'; readonly error: BarnabasError | undefined };

export interface NetworkConditions {
  readonly scheduler: Scheduler;
  readonly dice: Dice;
  readonly maxLatencyMs: number;
}

/** Messages on their way in one direction before the writer is asked to wait. */
const FULL_AT = 8;

/** One direction. */
class Lane<T> {
  readonly #parcels: Parcel<T>[] = [];
  #listener: Listener<T> | undefined;
  #moving = false;
  #paused = false;
  #over = false;
  #owesDrain = false;

  constructor(
    private readonly network: NetworkConditions,
    private readonly name: string,
    private readonly onDrained: () => void,
  ) {}

  get isOver(): boolean {
    return this.#over;
  }

  get length(): number {
    return this.#parcels.length;
  }

  listen(listener: Listener<T>): void {
    this.#listener = listener;
    this.#move();
  }

  /** False: full; onDrained follows. */
  push(parcel: Parcel<T>): boolean {
    if (this.#over) return true;
    this.#parcels.push(parcel);
    this.#move();
    this.#owesDrain ||= this.#parcels.length >= FULL_AT;
    return !this.#owesDrain;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#move();
  }

  /** Loses all but some of what is on its way; then the reader is told that the stream is broken. */
  breakOff(): void {
    if (this.#over) return;
    this.#parcels.length = this.network.dice.below(this.#parcels.length + 1);
    this.#paused = false;
    this.push({ kind: 'close', error: new BarnabasError('NETWORK_EXCEPTION', 'the simulated connection broke') });
  }

  /** The reader is gone. */
  drop(): void {
    this.#over = true;
    this.#parcels.length = 0;
  }

  #move(): void {
    if (this.#moving || this.#over || this.#paused || this.#listener === undefined) return;
    if (this.#parcels.length === 0) return;
    this.#moving = true;
    const { scheduler, dice, maxLatencyMs } = this.network;
    scheduler.after(dice.between(0, maxLatencyMs), this.name, () => this.#deliver());
  }

  #deliver(): void {
    this.#moving = false;
    if (this.#over || this.#paused) return;
    const parcel = this.#parcels.shift();
    if (parcel !== undefined) this.#hand(parcel);
    this.#payDrain();
    this.#move();
  }

  #hand(parcel: Parcel<T>): void {
    if (parcel.kind === 'message') this.#listener?.onMessage(parcel.message);
    else if (parcel.kind === 'end') this.#listener?.onEnd?.();
    else {
      this.#over = true;
      this.#listener?.onClose(parcel.error);
    }
  }

  #payDrain(): void {
    if (!this.#owesDrain || this.#parcels.length > FULL_AT / 2) return;
    this.#owesDrain = false;
    this.onDrained();
  }
}

export class Link<Request, Response> {
  readonly #toServer: Lane<Request>;
  readonly #toClient: Lane<Response>;
  #serverListener: Listener<Request> | undefined;

  constructor(network: NetworkConditions, name: string) {
    this.#toServer = new Lane(network, `${name} -> broker`, () => {});
    this.#toClient = new Lane(network, `broker -> ${name}`, () => this.#serverListener?.onDrain?.());
  }

  /** Neither end will hear anything more. */
  get isOver(): boolean {
    return this.#toServer.isOver && this.#toClient.isOver;
  }

  /** The end that a simulated client holds. */
  readonly client = {
    handle: (listener: Listener<Response>): void => this.#toClient.listen(listener),
    write: (message: Request): boolean => this.#toServer.push({ kind: 'message', message }),
    pause: (): void => this.#toClient.pause(),
    resume: (): void => this.#toClient.resume(),
    /** Gone at once; the broker hears of it after a prefix of what was sent. */
    abandon: (): void => {
      this.#toClient.drop();
      this.#toServer.breakOff();
    },
  };

  /** The end for the broker's handlers; `observe` sees every answer in the moment in which it is written. */
  server(observe: (message: Response) => void) {
    return {
      handle: (listener: Listener<Request>): void => {
        this.#serverListener = listener;
        this.#toServer.listen(listener);
      },
      write: (message: Response): boolean => {
        if (this.#toClient.isOver) return true;
        observe(message);
        return this.#toClient.push({ kind: 'message', message });
      },
      end: (error?: BarnabasError): void => {
        this.#toClient.push({ kind: 'close', error });
        this.#toServer.drop();
      },
      cancel: (): void => this.breakOff(),
      pause: (): void => this.#toServer.pause(),
      resume: (): void => this.#toServer.resume(),
      get bufferedBytes(): number {
        return 0;
      },
    };
  }

  /** The connection breaks between them. */
  breakOff(): void {
    this.#toServer.breakOff();
    this.#toClient.breakOff();
  }

  /** The broker's process has died. */
  serverDied(): void {
    this.#toServer.drop();
    this.#toClient.breakOff();
  }
}
