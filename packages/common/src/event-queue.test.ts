import { deferred } from './deferred.js';
import { EventQueue } from './event-queue.js';

describe('EventQueue', () => {
  it('runs jobs one at a time, in order, across awaits', async () => {
    const queue = new EventQueue();
    const steps: string[] = [];
    const gate = deferred<void>();
    const first = queue.push(async () => {
      steps.push('first begins');
      await gate.promise;
      steps.push('first ends');
      return 1;
    });
    const second = queue.push(() => {
      steps.push('second');
      return 2;
    });
    expect(steps).toEqual([]);
    gate.resolve();
    expect(await Promise.all([first, second])).toEqual([1, 2]);
    expect(steps).toEqual(['first begins', 'first ends', 'second']);
  });

  it('goes on after a job that fails', async () => {
    const queue = new EventQueue();
    const bad = queue.push(() => {
      throw new Error('no');
    });
    const good = queue.push(() => 'yes');
    await expect(bad).rejects.toThrow('no');
    await expect(good).resolves.toBe('yes');
  });

  it('takes jobs again after it has run dry', async () => {
    const queue = new EventQueue();
    await queue.push(() => undefined);
    await expect(queue.push(() => 'again')).resolves.toBe('again');
  });

  it('on close waits for the job that runs and refuses the rest', async () => {
    const queue = new EventQueue();
    const gate = deferred<void>();
    const started = deferred<void>();
    const running = queue.push(async () => {
      started.resolve();
      await gate.promise;
      return 'done';
    });
    const waiting = queue.push(() => 'never');
    await started.promise;
    const closed = queue.close();
    await expect(waiting).rejects.toThrow('closed');
    gate.resolve();
    await closed;
    await expect(running).resolves.toBe('done');
    await expect(queue.push(() => 1)).rejects.toThrow('closed');
  });
});
