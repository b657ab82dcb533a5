/**
 * Calls that any node can answer: metadata, admin, producer ids. Stays with a node while it answers;
 * goes on to the next when it does not, from the bootstrap list and then the brokers that metadata
 * has named, with a pause after each full round.
 *
 * Knows nothing of partitions and leaders; see ClusterRouter.
 */
import { BarnabasError, toBarnabasError } from '@barnabas/protocol';
import type { CallOptions, Channel, Connector, Environment } from '@barnabas/rpc';
import type { ConnectionOptions } from '../options/connection-options.js';
import { backoffMs, sleep } from './backoff.js';

export interface NodePoolParts {
  /** `host:port`. Empty for a gateway, which knows brokers from the metadata log alone: then there are no detours. */
  readonly bootstrap: readonly string[];
  readonly connector: Connector;
  readonly environment: Environment;
  readonly options: ConnectionOptions;
}

export interface NodeCallOptions {
  /** With its retries; default default.api.timeout.ms. */
  readonly timeoutMs?: number;
}

export class NodePool {
  readonly bootstrap: readonly string[];
  readonly #parts: NodePoolParts;
  #others: readonly string[] = [];
  #current = 0;
  #closed = false;
  readonly #answering = new Set<string>();

  constructor(parts: NodePoolParts) {
    this.#parts = parts;
    this.bootstrap = parts.bootstrap;
  }

  /** The node to use now. BROKER_NOT_AVAILABLE where there is no bootstrap list and no broker serves. */
  get address(): string {
    const all = this.#addresses();
    const address = all[this.#current % Math.max(1, all.length)];
    if (address === undefined) throw new BarnabasError('BROKER_NOT_AVAILABLE', 'no broker serves now: wait and retry');
    return address;
  }

  /** The bootstrap address to use now. */
  get bootstrapAddress(): string {
    return this.bootstrap[this.#current % this.bootstrap.length] as string;
  }

  /** A bootstrap address other than this one, best one that answers; undefined if there is none. */
  bootstrapOtherThan(address: string): string | undefined {
    const others = this.bootstrap.filter((other) => other !== address);
    return others.find((other) => this.#answering.has(other)) ?? others[0];
  }

  /** Brokers that can answer when the bootstrap list does not. */
  setBrokers(addresses: readonly string[]): void {
    this.#others = addresses.filter((address) => !this.bootstrap.includes(address));
  }

  channel(address: string): Channel {
    return this.#parts.connector.channel(address);
  }

  /** The node has answered. */
  succeeded(address: string): void {
    this.#answering.add(address);
  }

  /** The node cannot be reached: the next one's turn, if this was the current. */
  failed(address: string): void {
    this.#answering.delete(address);
    if (this.#addresses().length === 0) return;
    if (address === this.address) this.#current = (this.#current + 1) % this.#addresses().length;
    else if (address === this.bootstrapAddress) this.#current++;
  }

  /** Whether the node's last call was answered. */
  isAnswering(address: string): boolean {
    return this.#answering.has(address);
  }

  /**
   * Runs a unary call against one node after another until it succeeds, fails for good, or the time
   * is over. Only for calls that may be sent twice.
   */
  async call<T>(
    run: (channel: Channel, options: CallOptions) => Promise<T>,
    { timeoutMs = this.#parts.options.defaultApiTimeoutMs }: NodeCallOptions = {},
  ): Promise<T> {
    const { environment, options } = this.#parts;
    const deadline = environment.clock.monotonic() + timeoutMs;
    for (let failures = 1; ; failures++) {
      const leftMs = deadline - environment.clock.monotonic();
      const result = await this.#once(run, Math.max(1, Math.min(leftMs, options.requestTimeoutMs)));
      if (!(result instanceof BarnabasError)) return result;
      const pauseMs = this.#pause(failures);
      if (!result.retriable || this.#closed || environment.clock.monotonic() + pauseMs >= deadline) throw result;
      await sleep(environment.timers, pauseMs);
    }
  }

  close(): void {
    this.#closed = true;
  }

  async #once<T>(
    run: (channel: Channel, options: CallOptions) => Promise<T>,
    timeoutMs: number,
  ): Promise<T | BarnabasError> {
    if (this.#closed) return new BarnabasError('INVALID_REQUEST', 'the client is closed');
    let address: string | undefined;
    try {
      address = this.address;
      const result = await run(this.channel(address), { timeoutMs });
      this.succeeded(address);
      return result;
    } catch (thrown) {
      const error = toBarnabasError(thrown);
      if (address !== undefined && isUnreachable(error)) this.failed(address);
      return error;
    }
  }

  /** The first round over all nodes goes without a pause. */
  #pause(failures: number): number {
    const { environment, options } = this.#parts;
    const rounds = Math.floor(failures / Math.max(1, this.#addresses().length));
    const policy = { baseMs: options.retryBackoffMs, maxMs: options.retryBackoffMaxMs };
    return rounds === 0 ? 0 : backoffMs(policy, rounds, environment.random);
  }

  #addresses(): readonly string[] {
    return this.#parts.options.route === 'bootstrap' ? this.bootstrap : [...this.bootstrap, ...this.#others];
  }
}

/** Whether the failure says that the node, not the request, is the trouble. */
export function isUnreachable(error: BarnabasError): boolean {
  return (
    error.errorName === 'NETWORK_EXCEPTION' ||
    error.errorName === 'REQUEST_TIMED_OUT' ||
    error.errorName === 'BROKER_NOT_AVAILABLE'
  );
}
