import { InvariantError, VirtualTime, deferred } from '@barnabas/common';
import type { Deferred } from '@barnabas/common';
import type { MetadataImage } from '@barnabas/metadata';
import { BarnabasError } from '@barnabas/protocol';
import { Plan, Timeline } from '../core/index.js';
import type { Decision } from '../core/index.js';
import { WriteQueue } from './write-queue.js';

interface Proposal {
  readonly commands: readonly Uint8Array[];
  readonly term: number;
  readonly done: Deferred<void>;
}

let timeline: Timeline;
let clock: VirtualTime;
let queue: WriteQueue;
let proposals: Proposal[];
let faults: Error[];

beforeEach(() => {
  timeline = new Timeline();
  clock = new VirtualTime();
  proposals = [];
  faults = [];
  queue = new WriteQueue({
    timeline,
    clock,
    propose: (commands, term) => {
      const done = deferred<void>();
      proposals.push({ commands, term, done });
      return done.promise;
    },
    notController: () => new BarnabasError('NOT_CONTROLLER', 'not me'),
    onFault: (fault) => faults.push(fault),
  });
  queue.activate(1);
});

/** Decides a topic; refuses one that exists in the state that it is decided on. */
function topic(name: string): (image: MetadataImage) => Decision<string> {
  return (image) => {
    if (image.topics.named(name) !== undefined) throw new BarnabasError('TOPIC_ALREADY_EXISTS', name);
    const plan = new Plan(image);
    plan.add([{ record: { $case: 'topic', topic: { name, topicId: `id of ${name}` } } }]);
    return plan.decide(name);
  };
}

/** How each promise stands, in words. */
async function outcomes(...promises: Promise<unknown>[]): Promise<string[]> {
  const pending = new Promise((resolve) => setImmediate(resolve, 'pending'));
  const say = (promise: Promise<unknown>) =>
    Promise.race([promise, pending]).then(String, (error: BarnabasError) => error.errorName);
  return Promise.all(promises.map(say));
}

function submit(name: string): Promise<string> {
  const promise = queue.submit(topic(name), 1000);
  promise.catch(() => {});
  return promise;
}

/** As Raft does it: applies, then resolves. */
function commit(proposal: Proposal | undefined): void {
  for (const command of proposal?.commands ?? []) {
    expect(queue.takeInFlight(command, proposal?.term ?? 0)).toBe(true);
    timeline.commitStaged();
  }
  proposal?.done.resolve();
}

const names = (image: MetadataImage) => [...image.topics.idsByName.keys()].sort().join();

test('what comes together is one proposal, each decided on what the one before it left', async () => {
  const answers = [submit('a'), submit('b'), submit('a')];
  // Refusals wait too: they tell of a state that may never be.
  expect(await outcomes(...answers)).toEqual(['pending', 'pending', 'pending']);
  expect(proposals.map(({ commands, term }) => [commands.length, term])).toEqual([[1, 1]]);
  expect([names(timeline.committed), names(timeline.latest)]).toEqual(['', 'a,b']);
  commit(proposals[0]);
  expect(await outcomes(...answers)).toEqual(['a', 'b', 'TOPIC_ALREADY_EXISTS']);
});

test('what comes meanwhile is the next group', async () => {
  const first = submit('a');
  await outcomes(first);
  const later = [submit('b'), submit('c'), submit('a')];
  expect(await outcomes(...later)).toEqual(['pending', 'pending', 'pending']);
  expect(proposals).toHaveLength(1);
  commit(proposals[0]);
  expect(await outcomes(first, ...later)).toEqual(['a', 'pending', 'pending', 'pending']);
  expect(proposals[1]?.commands).toHaveLength(1);
  commit(proposals[1]);
  expect(await outcomes(...later)).toEqual(['b', 'c', 'TOPIC_ALREADY_EXISTS']);
});

test('a group that is too large for one command is several, and still one proposal', async () => {
  const many = (prefix: string) => (image: MetadataImage) => {
    const plan = new Plan(image);
    for (let index = 0; index < 4_000; index++) {
      const name = `${prefix}${index}`;
      plan.add([{ record: { $case: 'topic', topic: { name, topicId: name } } }]);
    }
    return plan.decide(prefix);
  };
  const answers = [queue.submit(many('a'), 1000), queue.submit(many('b'), 1000)];
  await outcomes(...answers);
  expect(proposals.map(({ commands }) => commands.length)).toEqual([2]);
  commit(proposals[0]);
  expect(await outcomes(...answers)).toEqual(['a', 'b']);
  expect(timeline.committed.topics.size).toBe(8_000);
});

test('a decision with records says what it leaves behind', async () => {
  const unit = [{ record: { $case: 'topic', topic: { name: 'a', topicId: 'A' } } } as const];
  const answer = queue.submit(() => ({ units: [unit], response: 'done' }), 1000);
  expect(await outcomes(answer)).toEqual(['UNKNOWN_SERVER_ERROR']);
  expect(faults).toHaveLength(1);
});

test('a group that decides nothing is answered without Raft', async () => {
  const answer = queue.submit(() => ({ units: [], response: 'nothing' }), 1000);
  expect(await answer).toBe('nothing');
  expect(proposals).toEqual([]);
});

test('a proposal that was refused leaves no trace', async () => {
  const answers = [submit('a'), submit('a')];
  await outcomes(...answers);
  proposals[0]?.done.reject(new BarnabasError('THROTTLING_QUOTA_EXCEEDED', 'later'));
  expect(await outcomes(...answers)).toEqual(['THROTTLING_QUOTA_EXCEEDED', 'THROTTLING_QUOTA_EXCEEDED']);
  expect(timeline.latest).toBe(timeline.committed);
  const again = submit('a');
  await outcomes(again);
  commit(proposals[1]);
  expect(await again).toBe('a');
});

test('after a proposal of unknown outcome nothing is decided until Raft has said who leads', async () => {
  const answer = submit('a');
  await outcomes(answer);
  const waiting = submit('b');
  proposals[0]?.done.reject(new BarnabasError('REQUEST_TIMED_OUT', 'who knows'));
  expect(await outcomes(answer, waiting, submit('c'))).toEqual([
    'REQUEST_TIMED_OUT',
    'NOT_CONTROLLER',
    'NOT_CONTROLLER',
  ]);
  expect(queue.term).toBeUndefined();
  expect(timeline.latest).toBe(timeline.committed);
});

test('leadership lost and won again: what was on its way is refused, nothing of it is proposed again', async () => {
  const lost = submit('a');
  const waiting = submit('b');
  await outcomes(lost);
  const late = submit('c');
  queue.deactivate();
  timeline.dropStaged();
  queue.activate(2);
  const next = submit('d');
  proposals[0]?.done.reject(new BarnabasError('REQUEST_TIMED_OUT', 'who knows'));
  expect(await outcomes(lost, waiting, late, next)).toEqual([
    'REQUEST_TIMED_OUT',
    'REQUEST_TIMED_OUT',
    'NOT_CONTROLLER',
    'pending',
  ]);
  expect(proposals.map(({ term }) => term)).toEqual([1, 2]);
  commit(proposals[1]);
  expect(await next).toBe('d');
  expect(names(timeline.committed)).toBe('d');
});

test('a request that waited past its deadline is not carried out', async () => {
  const first = submit('a');
  await outcomes(first);
  const late = submit('b');
  clock.advance(1001);
  commit(proposals[0]);
  expect(await outcomes(first, late)).toEqual(['a', 'REQUEST_TIMED_OUT']);
  expect(names(timeline.latest)).toBe('a');
});

test('a flood is refused at the door', async () => {
  const first = submit('a');
  await outcomes(first);
  const flood = Array.from({ length: 20_000 }, (_, index) => submit(`t${index}`));
  expect(await outcomes(submit('one too many'))).toEqual(['THROTTLING_QUOTA_EXCEEDED']);
  queue.deactivate();
  expect(new Set(await outcomes(...flood))).toEqual(new Set(['NOT_CONTROLLER']));
});

test('a fault ends the queue, and leaves nobody waiting', async () => {
  const fault = new InvariantError('impossible');
  const broken = queue.submit(() => {
    throw fault;
  }, 1000);
  expect(await outcomes(broken, submit('a'))).toEqual(['UNKNOWN_SERVER_ERROR', 'UNKNOWN_SERVER_ERROR']);
  expect(faults).toEqual([fault]);
  expect(await outcomes(submit('b'))).toEqual(['NOT_CONTROLLER']);
});

test('something else committed in the own term is a fault', async () => {
  await outcomes(submit('a'));
  expect(() => queue.takeInFlight(Buffer.from('other'), 1)).toThrow(/is what was proposed/);
  expect(queue.takeInFlight(Buffer.from('other'), 2)).toBe(false);
});

test.each(Array.from({ length: 12 }, (_, depth) => depth))(
  'a request that comes %i microtasks after an answer is not forgotten',
  async (depth) => {
    const chained = submit('a').then(async () => {
      for (let n = 0; n < depth; n++) await Promise.resolve();
      return submit('b');
    });
    await outcomes(chained);
    commit(proposals[0]);
    await outcomes(chained);
    commit(proposals[1]);
    expect(await outcomes(chained)).toEqual(['b']);
  },
);
