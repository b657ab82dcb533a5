/** Datagrams between the nodes of a quorum: delayed, out of order, late, lost, doubled, and cut in either direction. */
import type { PeerMessage, RaftStatus, RaftTransport } from '@barnabas/raft';
import type { Scope } from '../kernel/scheduler.js';
import type { Stage } from '../kernel/stage.js';
import type { QuorumPlan } from './plan.js';
import type { QuorumPlant } from './plants/plant.js';

const VERY_LATE_MS = 3000;

interface Receiver {
  readonly scope: Scope;
  readonly receive: (message: PeerMessage) => void;
}

export class Network {
  readonly #receivers = new Map<number, Receiver>();
  /** `from>to` */
  readonly #cut = new Set<string>();

  constructor(
    private readonly stage: Stage,
    private readonly plan: QuorumPlan,
    private readonly observe: (message: PeerMessage) => void,
    private readonly plant: Pick<QuorumPlant, 'said' | 'heard' | 'forged'>,
    /** What a node shows; undefined while it is down. */
    private readonly statusOf: (nodeId: number) => RaftStatus | undefined,
  ) {}

  /** The way out of and into one life of a node. */
  transport(nodeId: number, scope: Scope): RaftTransport {
    return {
      start: (_self, receive) => this.#receivers.set(nodeId, { scope, receive }),
      connect: () => undefined,
      send: (message) => {
        if (!scope.isOver) this.#say(nodeId, message);
      },
      stop: () => {
        if (this.#receivers.get(nodeId)?.scope === scope) this.#receivers.delete(nodeId);
      },
    };
  }

  cut(from: number, to: number): void {
    this.#cut.add(`${from}>${to}`);
  }

  join(): void {
    this.#cut.clear();
  }

  #say(from: number, meant: PeerMessage): void {
    const { plant, stage } = this;
    const message = plant.said?.(meant, stage, this.statusOf(from)) ?? meant;
    stage.judge(() => this.observe(message));
    this.#send(from, message);
    for (const forged of plant.forged?.(message, stage) ?? []) this.#send(forged.from, forged);
  }

  #send(from: number, message: PeerMessage): void {
    const { dice } = this.stage;
    const to = message.type === 'announce' ? idAt(message.toEndpoint) : message.to;
    if (this.#cut.has(`${from}>${to}`)) return;
    const isCalm = this.stage.isEnding;
    if (!isCalm && dice.chance(this.plan.loss)) return;
    this.#deliver(message, to);
    if (!isCalm && dice.chance(this.plan.duplication)) this.#deliver(message, to);
  }

  #deliver(message: PeerMessage, to: number): void {
    const { scheduler, dice } = this.stage;
    const isLate = !this.stage.isEnding && dice.chance(this.plan.lateness);
    const delayMs = dice.between(0, isLate ? VERY_LATE_MS : this.plan.maxNetworkMs);
    const what = `${message.from} -> ${to} ${message.type} of term ${message.term}`;
    scheduler.after(delayMs, what, () => {
      const receiver = this.#receivers.get(to);
      const arrived = this.plant.heard?.(message, this.stage, this.statusOf(to)) ?? message;
      // A node that stands still reads it when it moves again.
      receiver?.scope.whenMoving(() => receiver.receive(arrived));
    });
  }
}

/** Nodes are reached at `node-<id>:7800`. */
const idAt = (endpoint: string): number => Number(/^node-(\d+):/.exec(endpoint)?.[1]);
