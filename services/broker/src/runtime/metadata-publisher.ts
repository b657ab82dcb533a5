/** Brings changes of metadata to the replicas: configuration first, then brokers, then who holds and leads what. */
import { changesBetween, emptyImage } from '@barnabas/metadata';
import type { ImageChanges, MetadataImage, MetadataPublisher } from '@barnabas/metadata';
import { assignmentChanges } from '../core/index.js';
import type { BrokerView } from '../core/index.js';
import type { ReplicaDriver } from './replica-driver.js';
import type { TopicConfigs } from './topic-configs.js';

export class ReplicaPublisher implements MetadataPublisher {
  readonly name = 'replicas';
  #driver: ReplicaDriver | undefined;
  #onPublished: () => void = () => {};

  constructor(
    private readonly nodeId: number,
    private readonly configs: TopicConfigs,
  ) {}

  /** Until there is a driver only configurations are kept; it then gets everything that the image says so far. */
  attach(driver: ReplicaDriver, image: MetadataImage, onPublished: () => void = () => {}): void {
    this.#driver = driver;
    this.#onPublished = onPublished;
    driver.brokers(viewsOf(image));
    this.#assign(driver, changesBetween(emptyImage, image), image);
    driver.caughtUp(image.offset);
  }

  publish(changes: ImageChanges, image: MetadataImage): void {
    this.configs.update(changes, image);
    const driver = this.#driver;
    if (driver === undefined) return;
    if (changes.changedBrokerConfigs.size + changes.changedTopicConfigs.size > 0) this.#reconfigure(driver, changes);
    // Before what they hold: who may join an in-sync set depends on it.
    if (changes.changedBrokers.size > 0) driver.brokers(viewsOf(image));
    this.#assign(driver, changes, image);
    driver.caughtUp(image.offset);
    this.#onPublished();
  }

  #assign(driver: ReplicaDriver, changes: ImageChanges, image: MetadataImage): void {
    const assigned = assignmentChanges(this.nodeId, changes, image, (topic) => this.configs.topicConfig(topic));
    if (assigned.length > 0) driver.assigned(assigned);
  }

  /** Logs that are open take their new rules at once; others get them when they open. */
  #reconfigure(driver: ReplicaDriver, { changedBrokerConfigs, changedTopicConfigs }: ImageChanges): void {
    for (const partition of driver.partitions()) {
      if (changedBrokerConfigs.size === 0 && !changedTopicConfigs.has(partition.topic)) continue;
      driver.openedLog(partition)?.configure(this.configs.logConfig(partition.topic));
    }
  }
}

function viewsOf({ brokers }: MetadataImage): ReadonlyMap<number, BrokerView> {
  const views = new Map<number, BrokerView>();
  for (const [id, { epoch, fenced, inControlledShutdown }] of brokers) {
    views.set(id, { epoch, serves: !fenced && !inControlledShutdown });
  }
  return views;
}
