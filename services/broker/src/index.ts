export { createBroker } from './broker.js';
export type { BrokerObserver, BrokerOptions } from './broker.js';
export { brokerConfig } from './config.js';
export type { BrokerConfig } from './config.js';
export type { OpenLogs } from './replica-node.js';
