/**
 * Which brokers have been heard from lately. Not replicated: a new leader knows nothing and gives
 * every broker a whole session to make itself heard. Time comes from outside, in monotonic
 * milliseconds.
 *
 * Invariants:
 *   S1  an unfenced broker is never due for fencing before a whole session timeout has passed since it
 *       was last heard from, or since this controller became active, in which this controller listened
 *   S2  `isAlive` is true only for a registration that this leader itself has heard from
 */
import type { BrokerImage, MetadataImage } from '@barnabas/metadata';

interface Session {
  readonly epoch: number;
  /** When it is to be fenced, unless it is heard from before. */
  deadlineMs: number;
  heard: boolean;
  /** Metadata that the broker is known to have applied, exclusive. */
  metadataOffset: number;
  /** In controlled shutdown: the offset that the others must have applied before it may go. */
  shutdownOffset: number | undefined;
}

export class BrokerSessions {
  readonly #sessions = new Map<number, Session>();

  constructor(private readonly timeoutMs: number) {}

  /** This controller becomes active: forgets everything and gives each unfenced broker a session. */
  activate(image: MetadataImage, nowMs: number): void {
    this.#sessions.clear();
    for (const broker of image.brokers.values()) {
      if (!broker.fenced) this.#sessions.set(broker.id, this.#newSession(broker.epoch, nowMs));
    }
  }

  /** A registered broker has been heard from. */
  heard(broker: Pick<BrokerImage, 'id' | 'epoch'>, metadataOffset: number, nowMs: number): void {
    const session = this.#sessions.get(broker.id);
    const current = session?.epoch === broker.epoch ? session : this.#newSession(broker.epoch, nowMs);
    current.heard = true;
    current.deadlineMs = nowMs + this.timeoutMs;
    current.metadataOffset = Math.max(current.metadataOffset, metadataOffset);
    this.#sessions.set(broker.id, current);
  }

  isAlive(broker: Pick<BrokerImage, 'id' | 'epoch'>, nowMs: number): boolean {
    const session = this.#sessions.get(broker.id);
    return session !== undefined && session.epoch === broker.epoch && session.heard && session.deadlineMs > nowMs;
  }

  /** Unfenced brokers that have been silent for too long. */
  expired(image: MetadataImage, nowMs: number): readonly BrokerImage[] {
    return [...image.brokers.values()].filter(
      (broker) => !broker.fenced && this.#sessionOf(broker, nowMs).deadlineMs <= nowMs,
    );
  }

  /** When the next unfenced broker is due, if none is heard from; undefined if there is none. */
  nextDeadline(image: MetadataImage, nowMs: number): number | undefined {
    let next: number | undefined;
    for (const broker of image.brokers.values()) {
      if (broker.fenced) continue;
      const { deadlineMs } = this.#sessionOf(broker, nowMs);
      next = next === undefined ? deadlineMs : Math.min(next, deadlineMs);
    }
    return next;
  }

  /**
   * This controller was not listening for a while (its process stood still): silence in that time was
   * its own. Nobody is due before another half session has passed.
   */
  forgive(nowMs: number): void {
    for (const session of this.#sessions.values()) {
      session.deadlineMs = Math.max(session.deadlineMs, nowMs + this.timeoutMs / 2);
    }
  }

  /** The broker is in controlled shutdown since some offset before this one. The first one counts. */
  shutsDownAt(broker: Pick<BrokerImage, 'id' | 'epoch'>, offset: number, nowMs: number): void {
    this.#sessionOf(broker, nowMs).shutdownOffset ??= offset;
  }

  /** Whether all other unfenced brokers have applied the offset from which they lead in its place. */
  othersTookOver(image: MetadataImage, leaving: BrokerImage, nowMs: number): boolean {
    const { shutdownOffset } = this.#sessionOf(leaving, nowMs);
    if (shutdownOffset === undefined) return false;
    return [...image.brokers.values()]
      .filter((broker) => !broker.fenced && broker.id !== leaving.id)
      .every((broker) => this.#sessionOf(broker, nowMs).metadataOffset >= shutdownOffset);
  }

  #sessionOf({ id, epoch }: Pick<BrokerImage, 'id' | 'epoch'>, nowMs: number): Session {
    const known = this.#sessions.get(id);
    if (known?.epoch === epoch) return known;
    const session = this.#newSession(epoch, nowMs);
    this.#sessions.set(id, session);
    return session;
  }

  #newSession(epoch: number, nowMs: number): Session {
    return {
      epoch,
      deadlineMs: nowMs + this.timeoutMs,
      heard: false,
      metadataOffset: 0,
      shutdownOffset: undefined,
    };
  }
}
