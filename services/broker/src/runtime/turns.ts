/**
 * The turns of the replica manager. A turn is: one event in, its effects carried out in order. Turns
 * are synchronous and never overlap, so what the core decides is what the disk gets.
 *
 * Owns the events that wait for their turn, and the end of all turns. What an effect means is
 * replica-effects.ts.
 *
 * Rules:
 *   T1  an append is carried out, and reported back, inside the turn that ordered it (`within`)
 *   T2  an event that comes up while a turn runs waits for its end (`take`)
 *   T3  a broken invariant ends the turns: no more events are taken, and `onFault` is told once
 */
import { InvariantError } from '@barnabas/common';
import type { ReplicaEffect, ReplicaEvent, ReplicaManager } from '../core/index.js';
import type { ProduceToken } from './replica-partition.js';
import type { InboundBatches } from './replication-port.js';

export type Event = ReplicaEvent<ProduceToken>;
export type Effect = ReplicaEffect<ProduceToken>;

export interface TurnsOptions {
  readonly manager: ReplicaManager<ProduceToken>;
  readonly carryOut: (effect: Effect) => void;
  /** Nothing waits for its turn any more. */
  readonly onRest: () => void;
  /** There will be no more turns. */
  readonly onEnd: () => void;
  readonly onFault: (fault: Error) => void;
}

export class Turns {
  readonly #events: Event[] = [];
  #inTurn = false;
  #over = false;

  constructor(private readonly options: TurnsOptions) {}

  get areOver(): boolean {
    return this.#over;
  }

  take(event: Event): void {
    if (this.#over) return;
    this.#events.push(event);
    if (this.#inTurn) return;
    this.#inTurn = true;
    try {
      for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) this.#turn(next);
    } catch (error) {
      this.fail(error);
    } finally {
      this.#inTurn = false;
      this.options.onRest();
    }
  }

  /** For what an effect that is being carried out has to report, before anything else. */
  within(event: Event): void {
    this.#turn(event);
  }

  fail(error: unknown): void {
    if (this.#over) return;
    this.end();
    this.options.onFault(error instanceof Error ? error : new InvariantError(String(error)));
  }

  end(): void {
    this.#over = true;
    this.options.onEnd();
  }

  #turn(event: Event): void {
    const { manager, carryOut } = this.options;
    for (const effect of manager.handle(event)) carryOut(effect);
    if (event.type !== 'batches') return;
    const batches = event.batches as InboundBatches;
    if (!batches.taken) batches.release();
  }
}
