#!/usr/bin/env node
// The barnabas command of a clone: makes the clone ready if it is not, then runs the program.
import './setup.mjs';

const { main } = (await import('../packages/cli/dist/index.js')).default;
process.exitCode = await main(process.argv.slice(2));
