#!/usr/bin/env node
// The barnabas command of a clone. CommonJS, and nothing before this line, because libuv sizes its
// thread pool at its first use and loading an ES module is one: see packages/cli/src/thread-pool.ts.
process.env.UV_THREADPOOL_SIZE ??= '16';

import('./barnabas.mjs');
