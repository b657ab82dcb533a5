/** Points in time and durations, as people write and read them. */

const DURATION = /^P(?=\d|T\d)(?:(\d+)W)?(?:(\d+)D)?(?:T(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d{1,3})?)S)?)?$/;
const UNITS_MS = [604_800_000, 86_400_000, 3_600_000, 60_000, 1_000] as const;

/** Milliseconds of an ISO 8601 duration without years and months, which have no fixed length: `P1DT2H30M`. */
export function parseDuration(text: string): number | undefined {
  const found = DURATION.exec(text);
  if (found === null) return undefined;
  const total = UNITS_MS.reduce((sum, unit, index) => sum + Number(found[index + 1] ?? 0) * unit, 0);
  return Number.isSafeInteger(Math.round(total)) ? Math.round(total) : undefined;
}

const DATE_TIME = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(Z|[+-]\d\d:?\d\d)?)?$/;

/** Milliseconds since the Unix epoch of `2026-07-01T12:00:00.000`; without a zone it is UTC, as Kafka's tools have it. */
export function parseDateTime(text: string): number | undefined {
  const found = DATE_TIME.exec(text);
  if (found === null) return undefined;
  const time = text.includes('T') && found[1] === undefined ? `${text}Z` : text;
  const ms = Date.parse(time);
  // Date.parse takes the 31st of February for the 3rd of March.
  const [, , day] = text.slice(0, 10).split('-');
  const isReal = new Date(`${text.slice(0, 10)}T00:00:00Z`).getUTCDate() === Number(day);
  return Number.isNaN(ms) || !isReal || ms < 0 ? undefined : ms;
}

const STEPS = [
  [1_000, 1, 'ms'],
  [120_000, 1_000, 's'],
  [7_200_000, 60_000, 'm'],
  [172_800_000, 3_600_000, 'h'],
  [Number.POSITIVE_INFINITY, 86_400_000, 'd'],
] as const;

/** `0`, `850ms`, `12.3s`, `5.2m`, `3.1h`, `4.0d`: one word, so that columns stay columns. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0';
  const [, unit, name] = STEPS.find(([below]) => ms < below) ?? STEPS[4];
  return `${unit === 1 ? Math.round(ms) : (ms / unit).toFixed(1)}${name}`;
}
