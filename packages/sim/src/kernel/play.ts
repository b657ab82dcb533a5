/** Runs one seed of a scenario: event after event until it has had enough, or a check finds something. */
import type { RunFailure, RunOptions, RunReport } from './report.js';
import type { Stage } from './stage.js';
import { StrayRejections } from './stray-rejections.js';
import { Violation } from './violation.js';

/** Everything that was begun ends within this much virtual time, once all is healed. */
const HEALING_MS = 60_000;
const HEALING_EVENTS = 50_000;

/** One run of a scenario. */
export interface Play {
  readonly stage: Stage;
  /** The run from its beginning to its end; events happen only while it waits for them. */
  act(events: Events): Promise<void>;
  /** Looks at everything, after every event. */
  check(): void;
}

export class Events {
  constructor(
    private readonly play: Play,
    private readonly strays: StrayRejections,
  ) {}

  /** Until so many have happened since the beginning. */
  async upTo(count: number): Promise<void> {
    while (this.play.stage.scheduler.events < count) await this.#one();
  }

  /** Until the condition holds, which must be soon. `whoWaits` says who is to blame. */
  async until(what: string, condition: () => boolean, whoWaits: () => string): Promise<void> {
    const { scheduler } = this.play.stage;
    const deadlineMs = scheduler.elapsedMs + HEALING_MS;
    const last = scheduler.events + HEALING_EVENTS;
    while (!condition()) {
      if (scheduler.elapsedMs > deadlineMs || scheduler.events > last) {
        throw new Violation('progress', `not within ${HEALING_MS} ms after everything was healed: ${what}`, {
          waiting: whoWaits(),
        });
      }
      await this.#one();
    }
  }

  /** Until the work has come to an end, or nobody does it any more. Returns what it failed with. */
  async of(what: string, work: Promise<void>, isAbandoned: () => boolean): Promise<Error | undefined> {
    let isOver = false;
    let failure: Error | undefined;
    work
      .catch((error: unknown) => (failure = asError(error)))
      .finally(() => (isOver = true))
      .catch(() => {});
    await this.until(
      what,
      () => isOver || isAbandoned(),
      () => what,
    );
    return failure;
  }

  async #one(): Promise<void> {
    const { stage } = this.play;
    await stage.scheduler.next();
    stage.judge(() => this.play.check());
    const failure = stage.failure ?? this.strays.first;
    if (failure !== undefined) throw failure;
  }
}

export async function run(scenario: string, options: RunOptions, make: () => Play): Promise<RunReport> {
  const strays = new StrayRejections();
  const play = make();
  const { scheduler, trace, tally } = play.stage;
  let failure: RunFailure | undefined;
  try {
    await play.act(new Events(play, strays));
  } catch (error) {
    failure = failureOf(error, trace.last());
  } finally {
    strays.stop();
  }
  return {
    ...{ scenario, seed: options.seed, plant: options.plant, events: scheduler.events },
    ...{ virtualMs: scheduler.elapsedMs, hash: trace.digest(), counts: tally.counts(), failure },
  };
}

function failureOf(error: unknown, trace: readonly string[]): RunFailure {
  const known = asError(error);
  const check = known instanceof Violation ? known.check : 'fault';
  return { check, message: known.message, stack: known.stack ?? '', trace };
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
