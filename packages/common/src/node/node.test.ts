import { deferred } from '../deferred.js';
import { createPinoLogger } from './pino-logger.js';
import { PrometheusMetrics } from './prometheus.js';
import { systemClock, systemRandom, systemTimers } from './system.js';

describe('pino logger', () => {
  it('writes one JSON object a line with level, facts of all parents, and the error', () => {
    const lines: string[] = [];
    const logger = createPinoLogger({ level: 'info', destination: { write: (line: string) => lines.push(line) } });
    const child = logger.child({ role: 'broker' }).child({ nodeId: 3 });
    child.debug('not written');
    child.info('log opened', { topic: 'a' });
    child.error('disk failed', { action: 'replace the disk', error: new Error('EIO') });
    const [first, second] = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines).toHaveLength(2);
    expect(first).toMatchObject({ level: 'info', role: 'broker', nodeId: 3, topic: 'a', msg: 'log opened' });
    expect(second).toMatchObject({ level: 'error', action: 'replace the disk', error: { message: 'EIO' } });
  });
});

describe('Prometheus metrics', () => {
  it('exposes counters, gauges, samples and histograms, shared by name', async () => {
    const metrics = new PrometheusMetrics({ processMetrics: false });
    metrics.counter({ name: 'c_total', help: 'c', labels: ['topic'] }).add(2, { topic: 't' });
    metrics.counter({ name: 'c_total', help: 'c', labels: ['topic'] }).add(3, { topic: 't' });
    metrics.gauge({ name: 'g', help: 'g' }).set(7);
    metrics.histogram({ name: 'h_seconds', help: 'h', buckets: [0.1, 1] }).observe(0.5);
    let sample = 1;
    metrics.sampled({ name: 's', help: 's' }, () => sample);
    sample = 9;
    const text = await metrics.expose();
    expect(text).toContain('c_total{topic="t"} 5');
    expect(text).toContain('g 7');
    expect(text).toContain('s 9');
    expect(text).toContain('h_seconds_bucket{le="1"} 1');
    expect(text).toContain('h_seconds_bucket{le="0.1"} 0');
  });
});

describe('system ports', () => {
  it('fires timers, not cancelled ones', async () => {
    const fired = deferred<void>();
    let cancelled = true;
    systemTimers
      .after(0, () => {
        cancelled = false;
      })
      .cancel();
    const keepAlive = setInterval(() => undefined, 1000);
    systemTimers.after(1, () => fired.resolve());
    await fired.promise;
    clearInterval(keepAlive);
    expect(cancelled).toBe(true);
  });

  it('has a clock that does not go back and random numbers within bounds', () => {
    const first = systemClock.monotonic();
    expect(systemClock.monotonic()).toBeGreaterThanOrEqual(first);
    expect(Math.abs(systemClock.now() - Date.now())).toBeLessThan(60_000);
    expect(systemRandom.below(1)).toBe(0);
    expect(systemRandom.float()).toBeLessThan(1);
  });
});
