/**
 * Lives through a plan of faults: each begins when its time has come, those that are to come alone wait until
 * the load has got over the one before, and each is undone after its duration. Says so, and counts.
 *
 * Does not know what a fault does, nor what the load is.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { PlannedFault } from './plan.js';
import type { RunningFault } from './faults.js';

export interface FaultLife<Kind extends string> {
  readonly plan: readonly PlannedFault<Kind>[];
  /** When the load began, and how long faults go on from there. */
  readonly startedMs: number;
  readonly totalMs: number;
  /** How long a fault that is to come alone waits: then it comes all the same. */
  readonly calmMs: number;
  /** Undefined: at the moment there is nobody whom it could befall. */
  readonly begin: (fault: PlannedFault<Kind>) => Promise<RunningFault | undefined>;
  /** A fault that is to come alone waits from now on: the answer tells whether the load has gone on everywhere. */
  readonly watch: () => () => boolean;
  /** Others need not wait for the end of such a fault. */
  readonly isLongLived?: (kind: Kind) => boolean;
  /** What there is to say of the load as a fault ends. */
  readonly figures: () => string;
  readonly onProblem: (text: string) => void;
}

const POLL_MS = 50;

/** Resolves when the time is over and all is undone, with how often each kind came. */
export async function bringFaults<Kind extends string>(life: FaultLife<Kind>): Promise<ReadonlyMap<Kind, number>> {
  const { plan, startedMs, totalMs } = life;
  const counts = new Map<Kind, number>();
  const running = new Set<Promise<void>>();
  const inTheWay = new Set<Promise<void>>();
  for (const fault of plan) {
    await sleepUntil(startedMs + fault.atMs);
    // On a slow machine faults would come faster than the cluster gets over them, and nothing would be
    // written at all: those that are to come alone wait until it has.
    if (!fault.overlaps) await calm(life, inTheWay);
    if (performance.now() - startedMs > totalMs) break;
    const one = liveThrough(fault, life, counts).catch((error: unknown) =>
      life.onProblem(`${fault.kind} could not be brought about: ${String(error)}`),
    );
    for (const set of life.isLongLived?.(fault.kind) === true ? [running] : [running, inTheWay]) {
      set.add(one);
      void one.then(() => set.delete(one));
    }
  }
  await sleepUntil(startedMs + totalMs);
  await Promise.all(running);
  return counts;
}

/** Faults are over and the load goes on everywhere, or that takes too long. */
async function calm<Kind extends string>(life: FaultLife<Kind>, inTheWay: ReadonlySet<unknown>): Promise<void> {
  const deadlineMs = performance.now() + life.calmMs;
  const goesOn = life.watch();
  while ((inTheWay.size > 0 || !goesOn()) && performance.now() < deadlineMs) await sleep(POLL_MS);
}

async function liveThrough<Kind extends string>(
  fault: PlannedFault<Kind>,
  { begin, figures, startedMs }: FaultLife<Kind>,
  counts: Map<Kind, number>,
): Promise<void> {
  const { kind, durationMs } = fault;
  const begunMs = performance.now();
  const begun = await begin(fault);
  if (begun === undefined) return;
  counts.set(kind, (counts.get(kind) ?? 0) + 1);
  console.log(`${clock(startedMs)} ${kind}: ${begun.victim}`);
  await sleep(durationMs);
  await begun.undo();
  const seconds = ((performance.now() - begunMs) / 1000).toFixed(1);
  console.log(`${clock(startedMs)}   ${kind} is over after ${seconds} s; ${figures()}`);
}

/** Since the begin of the load. */
export function clock(startedMs: number): string {
  return `${((performance.now() - startedMs) / 1000).toFixed(1)} s`;
}

async function sleepUntil(ms: number): Promise<void> {
  const leftMs = ms - performance.now();
  if (leftMs > 0) await sleep(leftMs);
}
