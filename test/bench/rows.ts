/** What a benchmark has found, row by row: as it comes, to whoever waits; all of it, as a table and as JSON. */
import Table from 'cli-table3';
import fs from 'node:fs';
import os from 'node:os';

export interface Row {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly note?: string;
  /** What the figure ought to be. */
  readonly goal?: { readonly text: string; readonly met: boolean };
}

/** What a part of the benchmark is given. */
export interface Bench {
  readonly rows: Rows;
  /** Of the run alone. */
  readonly directory: string;
  /** How much data a figure may move, and how much less than usual that is. */
  readonly bytes: number;
  readonly scale: number;
}

export const atLeast = (value: number, goal: number, text: string) => ({
  text: `at least ${text}`,
  met: value >= goal,
});
export const atMost = (value: number, goal: number, text: string) => ({ text: `at most ${text}`, met: value <= goal });

export class Rows {
  readonly #rows: Row[] = [];

  add(row: Row): void {
    this.#rows.push(row);
    const goal = row.goal === undefined ? '' : `  [${row.goal.met ? 'met' : 'MISSED'}: ${row.goal.text}]`;
    console.error(`  ${row.name}: ${format(row)}${row.note === undefined ? '' : `  (${row.note})`}${goal}`);
  }

  get missesGoals(): boolean {
    return this.#rows.some((row) => row.goal?.met === false);
  }

  report(file: string): void {
    const table = new Table({ head: ['what', 'figure', 'note', 'goal'], style: { head: [], border: [] } });
    for (const row of this.#rows) {
      table.push([
        row.name,
        format(row),
        row.note ?? '',
        row.goal === undefined ? '' : `${row.goal.met ? 'met' : 'MISSED'}: ${row.goal.text}`,
      ]);
    }
    console.log(table.toString());
    const machine = {
      node: process.version,
      cpu: os.cpus()[0]?.model,
      cores: os.cpus().length,
      memoryBytes: os.totalmem(),
    };
    const found = { at: new Date().toISOString(), machine, rows: this.#rows };
    fs.writeFileSync(file, `${JSON.stringify(found, null, 2)}\n`);
    console.log(`written to ${file}`);
  }
}

const format = ({ value, unit }: Row) =>
  `${value >= 1000 ? Math.round(value).toLocaleString('en') : value >= 10 ? value.toFixed(1) : value.toFixed(2)} ${unit}`;
