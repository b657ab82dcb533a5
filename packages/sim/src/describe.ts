/** Runs in words, for the terminal. */
import type { RunFailure, RunReport } from './kernel/report.js';
import type { Summary } from './run-seeds.js';

const count = (value: number): string => Math.round(value).toLocaleString('en-US');

export function describeProgress(scenario: string, soFar: Omit<Summary, 'failed'>, of: number): string {
  return `${scenario}: ${count(soFar.seeds)} of ${count(of)} seeds, ${count(soFar.events / soFar.seconds)} events/s`;
}

export function describeSummary(scenario: string, { seeds, events, virtualMs, seconds, failed }: Summary): string {
  const speed = `${count(events / seconds)} events/s, ${count(virtualMs / 1000 / seconds)} virtual seconds a second`;
  const end = failed === undefined ? 'no violation' : `seed ${failed.seed} failed`;
  return `${scenario}: ${count(seeds)} seeds, ${count(events)} events in ${seconds.toFixed(1)} s (${speed}): ${end}`;
}

export function describeFailure(
  { scenario, seed, events, plant }: RunReport,
  failure: RunFailure,
  options: { readonly events: number; readonly trace: number },
): string {
  const planted = plant === undefined ? '' : ` --plant ${plant}`;
  const replay = `npm run sim -- --scenario ${scenario} --seed ${seed} --events ${options.events}${planted}`;
  const last = options.trace === 0 ? [] : failure.trace.slice(-options.trace);
  return [
    `${scenario}: seed ${seed} failed at event ${count(events)}${plant === undefined ? '' : ` (planted: ${plant})`}`,
    ...last.map((line) => `  | ${line}`),
    failure.stack === '' ? failure.message : failure.stack,
    `replay: ${replay}`,
  ].join('\n');
}
