/**
 * A role: what a process runs. A composition root binds a role's services to a server first, with
 * health NOT_SERVING, then starts the role, then reports it as serving.
 */
import type { Clock, Logger, Metrics, Random, Timers } from '@barnabas/common';
import { BarnabasError } from '@barnabas/protocol';
import type { FaultListener, Handlers, MessageStream, MethodDefinition, ServiceDefinition } from './types.js';

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

/**
 * A handler for every method that refuses it with UNSUPPORTED_VERSION: what a node that serves only a part
 * of a service, such as one of a test, adds its own handlers to.
 */
export function refuseAll<S extends ServiceDefinition>(definition: S): Handlers<S> {
  const refuse = (method: MethodDefinition<unknown, unknown>) => {
    const error = new BarnabasError('UNSUPPORTED_VERSION', `this node does not serve ${method.name}`);
    if (method.requestStream) return (stream: MessageStream<unknown, unknown>) => refuseStream(stream, error);
    if (method.responseStream)
      return (_: unknown, stream: MessageStream<never, unknown>) => refuseStream(stream, error);
    return () => Promise.reject(error);
  };
  const handlers = Object.entries(definition.methods).map(([name, method]) => [name, refuse(method)]);
  return Object.fromEntries(handlers) as Handlers<S>;
}

function refuseStream(stream: MessageStream<never, unknown>, error: BarnabasError): void {
  stream.handle({ onMessage: () => {}, onClose: () => {} });
  stream.end(error);
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
