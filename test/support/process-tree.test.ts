import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { processTree, signalAll } from './process-tree';

const onLinux = process.platform === 'linux' ? it : it.skip;

onLinux('finds what a process has started, and what that has started', async () => {
  const shell = spawn('bash', ['-c', '(sleep 1000 & echo $!; wait) & wait'], { stdio: ['ignore', 'pipe', 'ignore'] });
  const [line] = (await once(shell.stdout, 'data')) as [Buffer];
  const pids = processTree(shell.pid ?? 0);
  expect(pids[0]).toBe(shell.pid);
  expect(pids).toContain(Number(line.toString()));
  const ended = once(shell, 'exit');
  signalAll(pids, 'SIGKILL');
  await ended;
});

it('passes over who has ended', async () => {
  const child = spawn(process.execPath, ['-e', ''], { stdio: 'ignore' });
  await once(child, 'exit');
  expect(processTree(child.pid ?? 0)).toEqual([child.pid]);
  expect(() => signalAll([child.pid ?? 0], 'SIGSTOP')).not.toThrow();
});
