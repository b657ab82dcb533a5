/**
 * A broker's life with the controller: register, catch up, be unfenced, heartbeat, register again
 * when told to, and in the end ask for leave.
 *
 *   registering -> fenced -> serving -> leaving -> over
 *        ^__________|___________|  (STALE_BROKER_EPOCH, BROKER_ID_NOT_REGISTERED)
 *
 * Does not follow the metadata log (that is the follower's part) and moves no leadership itself.
 * Protocol: docs/protocols/metadata.md.
 */
import { deferred } from '@barnabas/common';
import type { Clock, Deferred, Logger, Random, Timer, Timers } from '@barnabas/common';
import { announcedFeatures, randomUuid } from '@barnabas/metadata';
import type { MetadataImage, MetadataSource } from '@barnabas/metadata';
import type { ControllerClient } from '@barnabas/metadata/follower';
import { BarnabasError, toBarnabasError } from '@barnabas/protocol';
import type { internal } from '@barnabas/protocol';

export interface LifecycleOptions {
  readonly nodeId: number;
  /** Empty if it has none. */
  readonly rack: string;
  /** log.flush.interval.messages, as the broker was started with it. */
  readonly flushIntervalMessages: number;
  readonly controller: Pick<ControllerClient, 'registerBroker' | 'brokerHeartbeat'>;
  readonly source: MetadataSource;
  readonly heartbeatIntervalMs: number;
  readonly registrationTimeoutMs: number;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly logger: Logger;
  /** The controller refuses this broker for good. */
  readonly onFault: (fault: Error) => void;
}

/** While something is expected of the controller, it is asked more often than every heartbeat interval. */
const IMPATIENT_MS = 100;
const SHORTEST_CALL_TIMEOUT_MS = 1_000;

export class BrokerLifecycle {
  readonly #incarnationId: string;
  readonly #abort = new AbortController();
  readonly #left = deferred<void>();
  #endpoints: internal.Endpoint[] = [];
  #clusterId = '';
  #brokerEpoch: number | undefined;
  /** The last registration after which nothing has been lost; -1 after a crash. */
  #previousEpoch = -1;
  #leaving = false;
  #over = false;
  #running: Promise<void> = Promise.resolve();
  #pause: { readonly timer: Timer; readonly done: Deferred<void> } | undefined;

  constructor(private readonly options: LifecycleOptions) {
    this.#incarnationId = randomUuid(options.random);
  }

  /** Of the registration that holds now; undefined in between. */
  get currentEpoch(): number | undefined {
    return this.#brokerEpoch;
  }

  /** The same; throws BROKER_NOT_AVAILABLE in between. */
  get brokerEpoch(): number {
    if (this.#brokerEpoch !== undefined) return this.#brokerEpoch;
    throw new BarnabasError('BROKER_NOT_AVAILABLE', 'the broker is registering with the controller: retry');
  }

  /** Registers and waits until the metadata log says that this broker serves. */
  async start(endpoints: internal.Endpoint[], clusterId: string, cleanShutdownEpoch: number): Promise<void> {
    this.#previousEpoch = cleanShutdownEpoch;
    this.#endpoints = endpoints;
    this.#clusterId = clusterId;
    const { clock, source, nodeId, registrationTimeoutMs } = this.options;
    const deadline = clock.monotonic() + registrationTimeoutMs;
    await this.#registerUntil(deadline);
    this.#running = this.#run();
    const isServing = (image: MetadataImage) => {
      const broker = image.brokers.get(nodeId);
      return broker !== undefined && broker.epoch === this.#brokerEpoch && !broker.fenced;
    };
    if (await source.waitFor(isServing, Math.max(1, deadline - clock.monotonic()))) return;
    throw new BarnabasError(
      'BROKER_NOT_AVAILABLE',
      'the controller has not unfenced this broker within initial.broker.registration.timeout.ms: look at the controllers',
    );
  }

  /** Asks for leave; resolves when the controller has moved leaderships away, or after `timeoutMs`. */
  async leave(timeoutMs: number): Promise<void> {
    if (this.#brokerEpoch === undefined || this.#over) return;
    this.#leaving = true;
    this.#wake();
    const timeout = this.options.timers.after(timeoutMs, () => this.#left.resolve());
    await this.#left.promise;
    timeout.cancel();
  }

  /** No more heartbeats. */
  async stop(): Promise<void> {
    this.#over = true;
    this.#abort.abort();
    this.#left.resolve();
    this.#wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    try {
      while (!this.#over) {
        if (this.#brokerEpoch === undefined) await this.#registerUntil(Infinity);
        await this.#sawOwnRegistration();
        const calm = await this.#beat();
        const { heartbeatIntervalMs } = this.options;
        await this.#wait(calm ? heartbeatIntervalMs : Math.min(heartbeatIntervalMs, IMPATIENT_MS));
      }
    } catch (error) {
      if (!this.#over) this.options.onFault(toBarnabasError(error));
    }
  }

  /** A heartbeat that comes before cannot unfence the broker, so it is worth a short wait. */
  async #sawOwnRegistration(): Promise<void> {
    const { source, nodeId } = this.options;
    const epoch = this.#brokerEpoch;
    await source.waitFor((image) => image.brokers.get(nodeId)?.epoch === epoch, IMPATIENT_MS);
  }

  /** Tries again until it succeeds, is refused for good, or the deadline passes. */
  async #registerUntil(deadline: number): Promise<void> {
    const { clock, logger } = this.options;
    for (;;) {
      try {
        return await this.#register(deadline);
      } catch (caught) {
        const error = toBarnabasError(caught);
        if (this.#over || !mayPass(error) || clock.monotonic() >= deadline) throw error;
        logger.debug('Registration is refused for now', { error: error.message });
        await this.#wait(IMPATIENT_MS);
      }
    }
  }

  async #register(deadline: number): Promise<void> {
    const { nodeId, rack, flushIntervalMessages, controller, clock, registrationTimeoutMs, logger } = this.options;
    const left = Math.min(registrationTimeoutMs, deadline - clock.monotonic());
    const request = {
      brokerId: nodeId,
      clusterId: this.#clusterId,
      incarnationId: this.#incarnationId,
      endpoints: this.#endpoints,
      rack,
      previousBrokerEpoch: this.#previousEpoch,
      features: announcedFeatures(),
      flushIntervalMessages,
    };
    const { brokerEpoch } = await controller.registerBroker(request, this.#within(left));
    this.#brokerEpoch = brokerEpoch;
    // As long as this process lives, nothing that it has written is lost: it may say so if it has to register again.
    this.#previousEpoch = brokerEpoch;
    logger.info('Registered with the controller', { brokerEpoch, incarnationId: this.#incarnationId });
  }

  /** True when nothing is expected of the controller before the next regular heartbeat. */
  async #beat(): Promise<boolean> {
    const { nodeId, controller, source, heartbeatIntervalMs, logger } = this.options;
    const request = {
      brokerId: nodeId,
      brokerEpoch: this.brokerEpoch,
      metadataOffset: source.image.offset,
      wantFence: false,
      wantShutDown: this.#leaving,
    };
    try {
      const answer = await controller.brokerHeartbeat(request, this.#within(heartbeatIntervalMs));
      if (answer.shouldShutDown) this.#left.resolve();
      return !answer.fenced && !this.#leaving;
    } catch (caught) {
      if (this.#over) return true;
      const error = toBarnabasError(caught);
      if (isUnknownThere(error)) {
        logger.warn('The controller does not know this registration any more', {
          action:
            'nothing, the broker registers again; if it recurs, heartbeats come too late: look at load and network',
          error: error.message,
        });
        this.#brokerEpoch = undefined;
      } else {
        logger.debug('A heartbeat failed', { error: error.message });
      }
      return false;
    }
  }

  #within(ms: number) {
    return { timeoutMs: Math.max(SHORTEST_CALL_TIMEOUT_MS, ms), signal: this.#abort.signal };
  }

  /** Waits, unless somebody calls wake(). */
  #wait(ms: number): Promise<void> {
    if (this.#over) return Promise.resolve();
    const done = deferred<void>();
    const timer = this.options.timers.after(ms, () => done.resolve());
    this.#pause = { timer, done };
    return done.promise;
  }

  #wake(): void {
    this.#pause?.timer.cancel();
    this.#pause?.done.resolve();
  }
}

/** The controller has fenced and forgotten this registration, or another has taken its place. */
function isUnknownThere({ errorName }: BarnabasError): boolean {
  return errorName === 'STALE_BROKER_EPOCH' || errorName === 'BROKER_ID_NOT_REGISTERED';
}

/** A registration that is refused like this may be accepted a little later. */
function mayPass(error: BarnabasError): boolean {
  // The previous incarnation of this broker may still count as alive, until its session ends.
  return error.retriable || error.errorName === 'DUPLICATE_BROKER_REGISTRATION';
}
