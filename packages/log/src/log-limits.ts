/** Broker-wide sizes and times, where the configuration says nothing else. */
import type { LogLimits } from './types.js';

const MIB = 1024 * 1024;

export const DEFAULT_LOG_LIMITS: LogLimits = Object.freeze({
  maxOpenDatabases: 1000,
  idleCloseMs: 10 * 60_000,
  tailCacheBytes: 32 * MIB,
  writeBufferBytes: 32 * MIB,
  totalWriteBufferBytes: 512 * MIB,
  maxWriteBytes: 4 * MIB,
  maxUnstableBytes: 16 * MIB,
  producerIdExpirationMs: 24 * 3_600_000,
  checkpointIntervalMs: 5000,
});
