/**
 * Which fault comes when in a chaos run, for how long and to whom. Pure: a seed gives one plan.
 *
 * A victim that depends on the run, such as the leader of a partition, is chosen when the fault
 * begins, from the numbers drawn here.
 */
import type { Random } from '@barnabas/common';

export const FAULT_KINDS = [
  'kill-leader',
  'kill-broker',
  'kill-controller',
  'kill-gateway',
  'stop-broker',
  'pause-broker',
  'pause-controller',
  'pause-gateway',
  'partition-controllers',
  'partition-followers',
  'partition-all',
  'partition-controller',
  'slow-link',
  'disk-full',
  'restart-all',
  'kill-all',
] as const;

export type FaultKind = (typeof FAULT_KINDS)[number];

/** What each fault does, for people. */
export const FAULTS: Readonly<Record<FaultKind, string>> = {
  'kill-leader': 'kill -9 of the broker that leads a partition',
  'kill-broker': 'kill -9 of any broker',
  'kill-controller': 'kill -9 of a controller',
  'kill-gateway': 'kill -9 of a gateway',
  'stop-broker': 'a broker is stopped in good order (controlled shutdown) and started again',
  'pause-broker': 'SIGSTOP and SIGCONT of the leader of a partition',
  'pause-controller': 'SIGSTOP and SIGCONT of a controller',
  'pause-gateway': 'SIGSTOP and SIGCONT of a gateway',
  'partition-controllers': 'the leader of a partition is cut off from the controllers only',
  'partition-followers': 'the leader of a partition is cut off from the other brokers only',
  'partition-all': 'the leader of a partition is cut off from all nodes; clients still reach it, or not',
  'partition-controller': 'a controller is cut off from the other controllers',
  'slow-link': 'the links of the leader of a partition become slow and narrow',
  'disk-full': 'a broker can write no more bytes to its files',
  'restart-all': 'every process is stopped in good order and started again',
  'kill-all': 'kill -9 of every process at once',
};

/** Which way a partition cuts, seen from the victim. */
export type Direction = 'both' | 'from' | 'to';

/** `Kind`: what runs of another kind than these break has names of its own. */
export interface PlannedFault<Kind extends string = FaultKind> {
  readonly kind: Kind;
  /** From the begin of the run. */
  readonly atMs: number;
  readonly durationMs: number;
  /** In [0, 1), to choose the victim by. */
  readonly victim: number;
  readonly direction: Direction;
  /** A partition takes the clients' links too. */
  readonly withClients: boolean;
  /** It may begin while the one before lasts. */
  readonly overlaps: boolean;
  /** Connections do not survive the mending of their link. */
  readonly withReset: boolean;
}

export interface PlanOptions<Kind extends string> {
  readonly random: Random;
  readonly totalMs: number;
  readonly kinds: readonly Kind[];
  /** Of faults that are to last longer or shorter than others. */
  readonly durationOf?: (kind: Kind) => Span | undefined;
}

/** In milliseconds. */
export interface Span {
  readonly least: number;
  readonly most: number;
}

const FIRST_AT_MS = 3_000;
const PAUSE_MS = { least: 2_000, most: 9_000 };
const DURATION_MS = { least: 300, most: 9_000 };
/** Some faults begin while the one before has not ended. */
const OVERLAPPING = 0.25;

export function planFaults<Kind extends string = FaultKind>({
  random,
  totalMs,
  kinds,
  durationOf = () => undefined,
}: PlanOptions<Kind>): readonly PlannedFault<Kind>[] {
  const between = ({ least, most }: Span) => least + random.below(most - least);
  const plan: PlannedFault<Kind>[] = [];
  let overlaps = false;
  for (let atMs = FIRST_AT_MS; atMs < totalMs; ) {
    const drawnMs = between(DURATION_MS);
    const kind = kinds[random.below(kinds.length)] as Kind;
    const durationMs = rescale(drawnMs, durationOf(kind) ?? DURATION_MS);
    plan.push({
      kind,
      atMs,
      durationMs,
      victim: random.float(),
      direction: (['both', 'both', 'from', 'to'] as const)[random.below(4)] as Direction,
      withClients: random.float() < 0.5,
      withReset: random.float() < 0.5,
      overlaps,
    });
    overlaps = random.float() < OVERLAPPING;
    atMs += between(PAUSE_MS) + (overlaps ? 0 : durationMs);
  }
  return plan;
}

function rescale(drawnMs: number, { least, most }: Span): number {
  const share = (drawnMs - DURATION_MS.least) / (DURATION_MS.most - DURATION_MS.least);
  return Math.round(least + share * (most - least));
}

/** For people. */
export function describe({ atMs, durationMs, kind }: PlannedFault<string>): string {
  return `${(atMs / 1000).toFixed(1)} s: ${kind} for ${(durationMs / 1000).toFixed(1)} s`;
}
