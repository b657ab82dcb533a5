#!/usr/bin/env node
/**
 * The program's entry. CommonJS on purpose: libuv sizes its thread pool at its first use, and
 * loading an ES module uses it, so that by then it is too late to ask for more threads.
 */
import { THREAD_POOL_SIZE } from './thread-pool.js';

process.env['UV_THREADPOOL_SIZE'] ??= THREAD_POOL_SIZE;
// grpc-js would write its own lines to standard error beside ours.
process.env['GRPC_VERBOSITY'] ??= 'NONE';

/** Everything is closed and flushed when main is done. Should something still hold the process, it ends all the same. */
const LINGER_MS = 2_000;

void import('./main.js').then(async ({ main }) => {
  process.exitCode = await main(process.argv.slice(2));
  setTimeout(() => process.exit(), LINGER_MS).unref();
});
