// Makes the clone ready if it is not, then runs the program. Started by barnabas.cjs.
import './setup.mjs';

await import('../packages/cli/dist/bin.js');
