import type { Action } from '../command-context.js';

/** Makes of an action, loaded when it runs, what commander calls with what it parsed. */
export type Run = (load: () => Promise<Action<never>>) => (...parsed: unknown[]) => Promise<void>;
