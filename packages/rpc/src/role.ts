/**
 * A role: what a process runs. A composition root binds a role's services to a server first, with
 * health NOT_SERVING, then starts the role, then reports it as serving.
 */
import type { Clock, Logger, Metrics, Random, Timers } from '@barnabas/common';
import type { FaultListener, Handlers, ServiceDefinition } from './types.js';

/** Everything from outside that a role needs, handed in by its composition root. */
export interface Environment {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** A service and what answers its calls. */
export interface ServiceRegistration {
  readonly definition: ServiceDefinition;
  readonly handlers: Readonly<Record<string, unknown>>;
  /** Told of every InvariantError that a handler or its stream listener throws; the role ends by it. */
  readonly onFault?: FaultListener | undefined;
}

/** Pairs a service with its handlers, checking their types. */
export function service<S extends ServiceDefinition>(
  definition: S,
  handlers: Handlers<S>,
  onFault?: FaultListener,
): ServiceRegistration {
  return { definition, handlers, onFault };
}

/** Where a server has been bound. */
export interface BoundAddress {
  readonly host: string;
  readonly port: number;
}

export interface Role {
  readonly name: 'controller' | 'broker' | 'gateway';
  readonly services: readonly ServiceRegistration[];
  /** Resolves when the role serves. Called once. */
  start(bound: BoundAddress): Promise<void>;
  /** Ends in good order within `graceMs`; afterwards nothing of the role runs. May be called while it starts. */
  stop(graceMs: number): Promise<void>;
  /** Rejects with the fault (a broken invariant, a dead disk) after which the process must end non-zero. Never resolves. */
  readonly failed: Promise<never>;
}
