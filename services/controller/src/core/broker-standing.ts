/** What the brokers of an image can do, for elections and placement. */
import type { BrokerImage, MetadataImage } from '@barnabas/metadata';

/** Neither fenced nor in controlled shutdown: may lead, and may join an ISR. */
export function serves(broker: BrokerImage | undefined): boolean {
  return broker !== undefined && !broker.fenced && !broker.inControlledShutdown;
}

/** Heard from, also while it is on its way out: it may stay what it is, but becomes nothing new. */
export function isUp(broker: BrokerImage | undefined): boolean {
  return broker !== undefined && !broker.fenced;
}

/** The same for many questions about one image. */
export interface Standings {
  serves(broker: number): boolean;
  isUp(broker: number): boolean;
}

export function standingsOf(image: MetadataImage): Standings {
  const up = [...image.brokers.values()].filter(isUp);
  const upIds = new Set(up.map(({ id }) => id));
  const serving = new Set(up.filter(serves).map(({ id }) => id));
  return { serves: (id) => serving.has(id), isUp: (id) => upIds.has(id) };
}
