/**
 * Where requests become committed records. Requests gather while a group is on its way through Raft;
 * then all of them are decided in one turn, each on the state that the one before it leaves behind,
 * and proposed together: as few entries of the log as hold them, and one sync of the disk for the whole
 * group. Answers, refusals included, are given when the group is committed, since they tell of its state.
 *
 * One group at a time on purpose. A later group is only ever decided on committed state, so that
 * there is nothing to untangle when Raft refuses one; and at 256 requests in flight, half of them
 * share each sync.
 *
 * Invariants:
 *   Q1  nothing is decided unless this controller leads, and nothing decided in one term is proposed in another
 *   Q2  no answer leaves before everything it was decided on is committed
 *   Q3  each request is answered exactly once
 */
import { InvariantError, assert, present } from '@barnabas/common';
import type { Clock } from '@barnabas/common';
import { BarnabasError } from '@barnabas/protocol';
import type { MetadataImage } from '@barnabas/metadata';
import type { Decision, Timeline, Unit } from '../core/index.js';
import { encodeCommand, packUnits } from './command.js';

export interface WriteQueueOptions {
  readonly timeline: Timeline;
  readonly clock: Clock;
  /** Resolves when the commands are committed and applied here. */
  readonly propose: (commands: readonly Uint8Array[], term: number) => Promise<unknown>;
  /** Why this controller takes no requests. */
  readonly notController: () => BarnabasError;
  readonly onFault: (fault: Error) => void;
}

interface Job {
  /** Throws BarnabasErrors only; returns what answers it. */
  readonly decide: (image: MetadataImage) => Decision<() => void>;
  readonly refuse: (error: BarnabasError) => void;
  readonly deadlineMs: number;
}

/** A group in the making. */
interface Draft {
  /** After everything decided so far. */
  image: MetadataImage;
  readonly units: Unit[];
}

/** Requests that may wait. Beyond it callers are told to slow down. */
const MAX_WAITING = 20_000;
/** Requests decided in one turn, so that a flood does not hold up heartbeats for long. */
const MAX_GROUP = 1_000;

export class WriteQueue {
  #term: number | undefined;
  #running = false;
  #jobs: Job[] = [];
  #decidedAtMs = 0;
  /** Commands of the group on its way, oldest first. */
  readonly #inFlight: Uint8Array[] = [];

  constructor(private readonly options: WriteQueueOptions) {}

  /** The term that this controller leads, as far as it decides in it. */
  get term(): number | undefined {
    return this.#term;
  }

  /** When the group that is on its way was decided, on the clock. */
  get decidedAtMs(): number {
    return this.#decidedAtMs;
  }

  activate(term: number): void {
    this.#term = term;
  }

  /** Leads no more: what waits is refused; what is on its way ends with its proposal. */
  deactivate(): void {
    this.#term = undefined;
    this.#inFlight.length = 0;
    for (const job of this.#jobs.splice(0)) job.refuse(this.options.notController());
  }

  /** Decides and commits. The promise ends with the decision's response, or with a BarnabasError. */
  submit<R>(decide: (image: MetadataImage) => Decision<R>, timeoutMs: number): Promise<R> {
    if (this.#term === undefined) return Promise.reject(this.options.notController());
    if (this.#jobs.length >= MAX_WAITING) {
      const text = `${this.#jobs.length} requests wait for this controller: retry later`;
      return Promise.reject(new BarnabasError('THROTTLING_QUOTA_EXCEEDED', text));
    }
    return new Promise<R>((resolve, reject) => {
      this.#jobs.push({
        decide: (image) => {
          const { response, ...rest } = decide(image);
          return { ...rest, response: () => resolve(response) };
        },
        refuse: reject,
        deadlineMs: this.options.clock.monotonic() + timeoutMs,
      });
      this.#start();
    });
  }

  /** Whether a committed command is the oldest one on its way; takes it off if so. */
  takeInFlight(command: Uint8Array, term: number): boolean {
    const [oldest] = this.#inFlight;
    if (oldest === undefined || term !== this.#term) return false;
    if (Buffer.compare(oldest, command) !== 0) {
      throw new InvariantError('what is committed in the own term is what was proposed', { term });
    }
    this.#inFlight.shift();
    return true;
  }

  #start(): void {
    if (this.#running) return;
    this.#running = true;
    // In a later turn, so that requests that come together are decided together.
    queueMicrotask(() => {
      this.#drain().catch((error: unknown) =>
        this.options.onFault(error instanceof Error ? error : new Error(String(error))),
      );
    });
  }

  async #drain(): Promise<void> {
    try {
      for (let term = this.#term; term !== undefined && this.#jobs.length > 0; term = this.#term) {
        await this.#carryOut(this.#nextGroup(), term);
      }
    } finally {
      // In the turn in which the queue was seen empty: whoever comes later starts it again.
      this.#running = false;
    }
  }

  #nextGroup(): Job[] {
    const group = this.#jobs.slice(0, MAX_GROUP);
    this.#jobs = this.#jobs.slice(MAX_GROUP);
    return group;
  }

  async #carryOut(group: readonly Job[], term: number): Promise<void> {
    try {
      await this.#decideAndCommit(group, term);
    } catch (fault) {
      // The role ends. Whoever was answered before is not touched by a refusal after it.
      this.deactivate();
      const text = 'the controller found itself in an impossible state and stops';
      for (const job of group) job.refuse(new BarnabasError('UNKNOWN_SERVER_ERROR', text));
      throw fault;
    }
  }

  async #decideAndCommit(group: readonly Job[], term: number): Promise<void> {
    this.#decidedAtMs = this.options.clock.monotonic();
    const draft: Draft = { image: this.options.timeline.latest, units: [] };
    const answers = group.map((job) => ({ job, give: this.#decide(job, draft) }));
    this.#stage(draft, term);
    const refusal = await this.#commit(term);
    for (const { job, give } of answers) {
      if (refusal === undefined) give();
      else job.refuse(refusal);
    }
  }

  /** Decides one request on what those before it have left. Returns what gives its answer. */
  #decide(job: Job, draft: Draft): () => void {
    if (this.options.clock.monotonic() > job.deadlineMs) {
      const error = new BarnabasError('REQUEST_TIMED_OUT', 'the request waited too long and was not carried out');
      return () => job.refuse(error);
    }
    try {
      const { units, image, response } = job.decide(draft.image);
      if (units.length > 0) {
        draft.image = present(image, 'what a decision with records leaves behind');
        // Not by spreading: there may be more units than a call may have arguments.
        for (const unit of units) draft.units.push(unit);
      }
      return response;
    } catch (error) {
      // Whatever has no name is a fault of this program: the role ends, and the caller learns no more.
      if (!(error instanceof BarnabasError)) throw error;
      return () => job.refuse(error);
    }
  }

  /** Puts what the group has decided into as few commands as hold it. */
  #stage({ image, units }: Draft, term: number): void {
    const { timeline } = this.options;
    for (const records of packUnits(units)) this.#inFlight.push(encodeCommand(timeline.stage(records, term)));
    assert(timeline.latest.offset === image.offset, 'what is staged is what was decided', {
      staged: timeline.latest.offset,
      decided: image.offset,
    });
  }

  /** Proposes what has been staged. Returns why it is not committed, as far as that is known. */
  async #commit(term: number): Promise<BarnabasError | undefined> {
    if (this.#inFlight.length === 0) return undefined;
    try {
      await this.options.propose([...this.#inFlight], term);
      return undefined;
    } catch (error) {
      if (!(error instanceof BarnabasError)) throw error;
      if (this.#term === term) this.#abandon(error);
      return error;
    }
  }

  /** The group has failed while this controller still believes that it leads. */
  #abandon(error: BarnabasError): void {
    this.#inFlight.length = 0;
    this.options.timeline.dropStaged();
    // The outcome is open: some of it may still be committed. Nothing more may be decided on a state
    // that does not know, until Raft says what this controller is.
    if (error.errorName === 'REQUEST_TIMED_OUT') this.deactivate();
  }
}
