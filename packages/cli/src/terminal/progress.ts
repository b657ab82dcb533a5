/** Progress of a long command, on standard error, and only when a person watches it there. */
import { formatBytes } from '../text/quantities.js';
import type { Terminal } from './terminal.js';

const REFRESH_MS = 250;

export interface Counts {
  readonly sent: number;
  readonly acknowledged: number;
  readonly bytes: number;
}

export interface Progress {
  stop(): void;
}

/** Shows `counts` until stopped; nothing at all if standard error is no terminal. */
export async function startProgress(terminal: Terminal, counts: () => Counts): Promise<Progress> {
  if (!terminal.stderrIsTerminal) return { stop() {} };
  const { SingleBar } = await import('cli-progress');
  const bar = new SingleBar({
    format: '{acknowledged} of {sent} records acknowledged, {size}, {speed}/s',
    stream: terminal.stderr as NodeJS.WritableStream,
    clearOnComplete: true,
    hideCursor: null,
  });
  const started = performance.now();
  const payload = () => {
    const { sent, acknowledged, bytes } = counts();
    const seconds = Math.max(performance.now() - started, 1) / 1000;
    return { sent, acknowledged, size: formatBytes(bytes), speed: formatBytes(bytes / seconds) };
  };
  bar.start(1, 0, payload());
  const refresh = setInterval(() => bar.update(0, payload()), REFRESH_MS);
  refresh.unref();
  return {
    stop() {
      clearInterval(refresh);
      bar.stop();
    },
  };
}
