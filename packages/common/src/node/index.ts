/** The system's clock, timers and randomness, the pino logger and the Prometheus registry: for composition roots and tests. */
export * from './pino-logger.js';
export * from './prometheus.js';
export * from './system.js';
export * from '../config/file.js';
