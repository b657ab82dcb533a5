/** Loads the client package; apart, so that commands without a client do not wait for it. */
import { BarnabasClient } from '@barnabas/client';
import type { Connect } from './command-context.js';

export const connect: Connect = (options) => new BarnabasClient(options);
