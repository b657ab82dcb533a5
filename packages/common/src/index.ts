export * from './assert.js';
export * from './deferred.js';
export * from './event-queue.js';
export * from './logger.js';
export * from './metrics.js';
export * from './random.js';
export * from './time.js';
