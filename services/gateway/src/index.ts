/** The gateway: the front door for clients in any language. See gateway.ts. */
export { gatewayConfig } from './config.js';
export type { GatewayConfig } from './config.js';
export { createGateway } from './gateway.js';
export type { Gateway, GatewayOptions } from './gateway.js';
export type { MetricsPage } from './http/http-server.js';
