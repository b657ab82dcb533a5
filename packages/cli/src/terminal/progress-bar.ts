/** How far a long command is, on standard error, and only when a person watches it there. */
import type { Terminal } from './terminal.js';

export interface ProgressBar {
  /** `done` of `total`, with a few words beside it. */
  update(done: number, total: number, text: string): void;
  stop(): void;
}

/** Nothing at all if standard error is no terminal. */
export async function startProgressBar(terminal: Terminal): Promise<ProgressBar> {
  if (!terminal.stderrIsTerminal) return { update() {}, stop() {} };
  const { SingleBar, Presets } = await import('cli-progress');
  const bar = new SingleBar(
    {
      format: '{bar} {percentage}%  {value} of {total}  {text}',
      stream: terminal.stderr as NodeJS.WritableStream,
      clearOnComplete: true,
      hideCursor: null,
    },
    Presets.shades_classic,
  );
  bar.start(1, 0, { text: '' });
  return {
    update(done, total, text) {
      bar.setTotal(Math.max(1, total));
      bar.update(total === 0 ? 1 : done, { text });
    },
    stop: () => bar.stop(),
  };
}
