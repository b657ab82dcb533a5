/**
 * How a node that follows the metadata log reaches leaders and coordinators: the view that it follows, and
 * a router on top of it. Makes no connection before somebody asks.
 */
import { ClusterRouter, CONNECTION_OPTIONS, NodePool } from '@barnabas/client';
import type { ConnectionOptions } from '@barnabas/client';
import type { Connector, Environment } from '@barnabas/rpc';
import { FollowedView } from './followed-view.js';
import type { FollowedViewParts } from './followed-view.js';

export interface NodeRoutingParts extends FollowedViewParts {
  readonly connector: Connector;
  readonly environment: Environment;
  readonly requestTimeoutMs: number;
}

export class NodeRouting {
  /** A publisher of what is followed. */
  readonly view: FollowedView;
  readonly router: ClusterRouter;
  readonly #pool: NodePool;

  constructor({ connector, environment, requestTimeoutMs, ...parts }: NodeRoutingParts) {
    const options = connectionOptions(requestTimeoutMs);
    this.view = new FollowedView(parts);
    this.#pool = new NodePool({ bootstrap: [], connector, environment, options });
    this.view.feed(this.#pool);
    this.router = new ClusterRouter({ view: this.view, pool: this.#pool, environment, options });
  }

  close(): void {
    this.router.close();
    this.#pool.close();
  }
}

function connectionOptions(requestTimeoutMs: number): ConnectionOptions {
  const defaults = Object.entries(CONNECTION_OPTIONS).map(([name, spec]) => [name, spec.default]);
  return { ...(Object.fromEntries(defaults) as ConnectionOptions), requestTimeoutMs };
}
