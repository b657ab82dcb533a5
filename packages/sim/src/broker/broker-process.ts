/**
 * One life of the broker: the real replica node on a simulated disk, from its start to its death.
 * What a process has when the power goes dies with it: its timers, its calls, its streams.
 *
 * Stands in for the composition root (broker.ts) and for nothing else: metadata comes as deltas of
 * the real image, streams and calls go to the real handlers.
 */
import {
  BrokerMetrics,
  ProduceStreamSession,
  ReplicaNode,
  ReplicaPublisher,
  TopicConfigs,
  brokerConfigEntries,
  deleteRecords,
  fetch,
  listOffsets,
} from '@barnabas/broker/parts';
import { noMetrics } from '@barnabas/common';
import type { Logger } from '@barnabas/common';
import { openLogManager } from '@barnabas/log';
import type { LogConfig, LogManager, LogManagerOptions } from '@barnabas/log';
import { changesBetween, configuredBroker, emptyImage } from '@barnabas/metadata';
import type { ImageChanges, MetadataImage } from '@barnabas/metadata';
import { BarnabasError } from '@barnabas/protocol';
import type { v1 } from '@barnabas/protocol';
import { MountedFactory } from '../disk/mounted-factory.js';
import { Scope } from '../kernel/scheduler.js';
import { NODE_ID } from './authority.js';
import type { Link } from './link.js';
import type { Plant } from './plants/plant.js';
import type { Surroundings } from './surroundings.js';

export type ProduceLink = Link<v1.ProduceStreamRequest, v1.ProduceStreamResponse>;
export type FetchLink = Link<v1.FetchRequest, v1.FetchResponse>;

/** Segments far below what a topic may be given, so that a short run has many. */
class SmallSegments extends TopicConfigs {
  constructor(
    broker: ConstructorParameters<typeof TopicConfigs>[0],
    private readonly segmentBytes: number,
  ) {
    super(broker);
  }

  override logConfig(topic: string): LogConfig {
    return { ...super.logConfig(topic), segmentBytes: this.segmentBytes };
  }
}

export class BrokerProcess {
  readonly #scope: Scope;
  readonly #publisher: ReplicaPublisher;
  readonly #configs: TopicConfigs;
  readonly #links = new Set<{ readonly isOver: boolean; serverDied(): void; breakOff(): void }>();
  readonly #news: { readonly changes: ImageChanges; readonly image: MetadataImage }[] = [];
  #image: MetadataImage;
  #node: ReplicaNode | undefined;
  #serves = false;
  #stopping = false;

  constructor(
    private readonly world: Surroundings,
    life: number,
    private readonly plant: Plant,
  ) {
    const { plan, scheduler, authority } = world;
    this.#scope = new Scope(scheduler, `broker#${life}`);
    this.#configs = new SmallSegments(configuredBroker(NODE_ID, brokerConfigEntries(plan.config)), plan.segmentBytes);
    this.#publisher = new ReplicaPublisher(NODE_ID, this.#configs);
    this.#image = authority.image;
    this.#publisher.publish(changesBetween(emptyImage, this.#image), this.#image);
  }

  /** Undefined until the log directory is open. */
  get node(): ReplicaNode | undefined {
    return this.#node;
  }

  get isAlive(): boolean {
    return !this.#scope.isOver;
  }

  get serves(): boolean {
    return this.#serves;
  }

  /** It serves, and nobody has asked it to stop. */
  get isSettled(): boolean {
    return this.#serves && !this.#stopping;
  }

  get image(): MetadataImage {
    return this.#image;
  }

  /** Nothing here waits for metadata. */
  async waitFor(condition: (image: MetadataImage) => boolean): Promise<boolean> {
    return condition(this.#image);
  }

  /** Rejects when the disk does not let it start: a real broker exits then. */
  async start(): Promise<void> {
    const { plan, scheduler, dice } = this.world;
    const clock = scheduler.clock(() => this.world.skewMs);
    this.#node = await ReplicaNode.open({
      config: plan.config,
      environment: { clock, timers: this.#scope, random: dice, logger: this.#logger(), metrics: noMetrics },
      openLogs: (options) => this.#openLogs(options),
      configs: this.#configs,
      publisher: this.#publisher,
      follower: this,
      metrics: new BrokerMetrics(noMetrics),
      allocateProducerIds: async () => ({ firstProducerId: this.world.authority.producerId(), count: 1 }),
      // One broker: nobody to follow, nobody to admit.
      replication: {
        openStream: () => undefined,
        controller: {
          alterPartition: () => Promise.reject(notServing()),
          reportOfflineReplicas: () => Promise.reject(notServing()),
        },
        brokerEpoch: () => 0,
      },
      controller: { createInternalTopic: () => Promise.reject(notServing()) },
      onFault: (fault) => this.world.fail(fault),
    });
    await this.#node.begin();
    this.#serves = true;
  }

  /** In good order, as far as the disk allows. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#node?.drain();
    this.#serves = false;
    await this.#node?.close();
  }

  /** Nothing of it runs any more. The disk is the caller's to deal with. */
  die(): void {
    this.#serves = false;
    this.#scope.end();
    for (const link of this.#links) link.serverDied();
    this.#links.clear();
  }

  /** A change of metadata is on its way to this broker. */
  tell(changes: ImageChanges, image: MetadataImage): void {
    this.#news.push({ changes, image });
    if (this.#news.length === 1) this.#hearSoon();
  }

  produceStream(link: ProduceLink, observe: (message: v1.ProduceStreamResponse) => void): void {
    this.#accept(
      link,
      (end, { produceService, budget }) =>
        new ProduceStreamSession(end, produceService, false, budget, () => undefined),
      observe,
    );
  }

  fetchStream(link: FetchLink, observe: (message: v1.FetchResponse) => void): void {
    this.#accept(link, (end, { fetching }) => void fetch(end, fetching, () => undefined), observe);
  }

  listOffsets(request: v1.ListOffsetsRequest): Promise<v1.ListOffsetsResponse> {
    return listOffsets(request, this.#serving().fetching);
  }

  deleteRecords(request: v1.DeleteRecordsRequest): Promise<v1.DeleteRecordsResponse> {
    return deleteRecords(request, this.#serving().fetching);
  }

  /** One of the streams, if there is one. */
  someLink(): { breakOff(): void } | undefined {
    for (const link of this.#links) if (link.isOver) this.#links.delete(link);
    return this.#links.size === 0 ? undefined : this.world.dice.pick([...this.#links]);
  }

  #accept<Request, Response>(
    link: Link<Request, Response>,
    handle: (end: ReturnType<Link<Request, Response>['server']>, serving: ReplicaNode['serving']) => void,
    observe: (message: Response) => void,
  ): void {
    this.#links.add(link);
    const { dice, plan } = this.world;
    const accept = (): void => {
      const end = link.server((message) => this.world.judge(() => observe(message)));
      if (this.#node !== undefined && this.#serves) handle(end, this.#node.serving);
      else end.end(notServing());
    };
    this.#scope.after(dice.between(0, plan.networkLatencyMs), accept, 'takes a stream');
  }

  #serving(): ReplicaNode['serving'] {
    if (this.#node === undefined || !this.#serves) throw notServing();
    return this.#node.serving;
  }

  #openLogs(options: LogManagerOptions): Promise<LogManager> {
    const { disk, dice } = this.world;
    const mounted = new MountedFactory(disk, this.#scope);
    const factory = this.plant.files?.(mounted, this.world) ?? mounted;
    const limits = { ...options.limits, idleCloseMs: dice.between(50, 5000), maxWriteBytes: 1000 };
    const opening = openLogManager({ ...options, factory, limits });
    return opening.then((logs) => this.plant.logs?.(logs, this.world) ?? logs);
  }

  #hearSoon(): void {
    this.#scope.after(
      this.world.dice.between(0, this.world.plan.networkLatencyMs),
      () => {
        const news = this.#news.shift();
        if (news === undefined) return;
        this.#image = news.image;
        this.#publisher.publish(news.changes, news.image);
        if (this.#news.length > 0) this.#hearSoon();
      },
      'hears of metadata',
    );
  }

  #logger(): Logger {
    const note = (level: string) => (message: string, facts?: Readonly<Record<string, unknown>>) => {
      const error = facts?.error instanceof Error ? ` (${facts.error.message})` : '';
      this.world.trace.note(`  ${level} ${message}${error}`);
      if (level !== 'info') this.world.tally.count(`${level}: ${message}`);
    };
    const logger: Logger = {
      debug: () => {},
      info: note('info'),
      warn: note('warn'),
      error: note('error'),
      child: () => logger,
    };
    return logger;
  }
}

function notServing(): BarnabasError {
  return new BarnabasError('BROKER_NOT_AVAILABLE', 'the broker is starting or stopping');
}
