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

/** Something that knows the newest image: the follower, or the controller's own state. */
export interface MetadataView {
  readonly image: MetadataImage;
  /** Node id of the active controller as last heard, or -1. */
  readonly controllerId: number;
}
