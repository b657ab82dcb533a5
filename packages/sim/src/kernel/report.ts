/** What a run of one seed came to. */
export interface RunReport {
  readonly scenario: string;
  readonly seed: number;
  /** The name of what was planted; undefined for the real thing. */
  readonly plant: string | undefined;
  readonly events: number;
  readonly virtualMs: number;
  /** Of everything that happened: the same seed gives the same. */
  readonly hash: string;
  readonly counts: Readonly<Record<string, number>>;
  readonly failure: RunFailure | undefined;
}

export interface RunFailure {
  /** The checker that found it; 'fault' for what the system under test itself threw. */
  readonly check: string;
  readonly message: string;
  readonly stack: string;
  /** The last events, oldest first. */
  readonly trace: readonly string[];
}

export interface RunOptions {
  readonly seed: number;
  /** Events before everything is healed. */
  readonly events: number;
  readonly plant?: string;
}

export interface Scenario {
  readonly name: string;
  /** Events before everything is healed, unless somebody wants another number. */
  readonly events: number;
  readonly plants: readonly { readonly name: string; readonly says: string; readonly caughtBy: readonly string[] }[];
  /** What must have happened in forty runs, and how often at least: runs in which nothing happens prove nothing. */
  readonly expects: Readonly<Record<string, number>>;
  run(options: RunOptions): Promise<RunReport>;
}
