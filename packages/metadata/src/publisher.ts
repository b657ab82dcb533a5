/** Who is told about changes of metadata, and in which order. */
import type { ImageChanges } from './changes.js';
import type { MetadataImage } from './image.js';

/**
 * Told of every change, in order, one call after another; each publisher sees a change after the
 * publishers before it in the list. A publisher must not throw: what it throws is a fault of the node.
 */
export interface MetadataPublisher {
  /** For logs. */
  readonly name: string;
  /** `changes.base` is the image of the call before: the empty image at first. */
  publish(changes: ImageChanges, image: MetadataImage): void;
}

/** Something that knows the newest image: the follower of a broker or a gateway, or a controller. */
export interface MetadataSource {
  readonly image: MetadataImage;
  /** Node id of the active controller as last heard, or -1. */
  readonly controllerId: number;
  /** Resolves with true when the image satisfies the condition, with false when it has not in time. */
  waitFor(condition: (image: MetadataImage) => boolean, timeoutMs: number): Promise<boolean>;
}
