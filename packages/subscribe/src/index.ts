/**
 * The node's side of GroupService.Subscribe, for brokers and gateways: SubscribeService holds a node's
 * streams, ServedGroupService is what its handlers are registered for.
 */
export { SubscribeMetrics } from './metrics.js';
export { SubscribeService } from './subscribe-service.js';
export type { SubscribeParts } from './subscribe-session.js';
export { ServedGroupService } from './wire.js';
export type { SubscribeOutput } from './wire.js';
