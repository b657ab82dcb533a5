/**
 * Configuration: typed definitions under Kafka's own key names, and the sources that values come
 * from. Pure; reading files is `loadYaml` of @barnabas/common/node.
 */
export * from './addresses.js';
export * from './definition.js';
export * from './error.js';
export * from './layers.js';
export * from './types.js';
