/**
 * Whole nodes under random misfortune: machines die and lose what was not synced, messages get lost,
 * nodes are cut off, snapshots are made and sent; meanwhile voters come and go among five nodes, and the
 * lead is handed over. What was acknowledged is never lost, and all state machines see the same.
 */
import { SeededRandom } from '@barnabas/common';
import { TestQuorum } from '../test-kit/test-quorum.js';

const SEEDS = Number(process.env.RAFT_SEEDS ?? 50);
const FIRST_SEED = Number(process.env.RAFT_FIRST_SEED ?? 1);
const ROUNDS = 120;

interface Tally {
  acknowledged: number;
  restores: number;
  crashes: number;
  changes: number;
  transfers: number;
}

/** Three vote at the beginning; the others join. */
const NODES = 5;
const PATIENCE = { timeoutMs: 5_000 };

/** Counts what succeeds; that it may fail is part of the misfortune. */
const count = (call: Promise<unknown>, success: () => void): Promise<void> => call.then(success, () => undefined);

async function misfortune(seed: number, tally: Tally): Promise<void> {
  const dice = new SeededRandom(seed);
  const config = { snapshotAfterBytes: 1_500, keepBehindSnapshotBytes: dice.below(2) * 500, snapshotChunkBytes: 100 };
  const quorum = await TestQuorum.started(3, config, seed);
  quorum.network.lossOneIn = dice.below(2) * (5 + dice.below(50));
  const start = (id: number): Promise<unknown> => (id <= 3 ? quorum.start(id) : quorum.join(id, [1, 2, 3]));
  for (const id of [4, 5]) await start(id);
  const acknowledged: string[] = [];
  /** How many had been acknowledged when each was proposed. */
  const acknowledgedBefore = new Map<string, number>();
  const uncertain: Promise<unknown>[] = [];
  let proposals = 0;
  let restores = 0;

  for (let round = 0; round < ROUNDS; round++) {
    const event = dice.below(100);
    const id = 1 + dice.below(NODES);
    const running = quorum.nodes.get(id);
    if (event < 50) {
      const leader = quorum.leader;
      for (let left = 1 + dice.below(5); leader !== undefined && left > 0; left--) {
        const text = `p${++proposals}`;
        acknowledgedBefore.set(text, acknowledged.length);
        const done = leader.node.propose([Buffer.from(text)]).then(
          () => acknowledged.push(text),
          () => undefined,
        );
        uncertain.push(done);
      }
    } else if (event < 58 && running !== undefined) {
      restores += running.journal.restores;
      tally.crashes++;
      await quorum.crash(id);
    } else if (event < 75 && running === undefined) {
      await start(id);
    } else if (event < 80) {
      quorum.network.cut(id);
    } else if (event < 88) {
      quorum.network.join();
    } else if (event < 97) {
      const node = quorum.leader?.node;
      const votes = node?.status.voters.some((voter) => voter.id === id) === true;
      const change = votes ? node?.removeVoter({ id }, PATIENCE) : node?.addVoter({ id }, PATIENCE);
      if (change !== undefined) uncertain.push(count(change, () => tally.changes++));
    } else {
      const transfer = quorum.leader?.node.transferLeadership(dice.below(2) === 0 ? id : undefined, PATIENCE);
      if (transfer !== undefined) uncertain.push(count(transfer, () => tally.transfers++));
    }
    await quorum.run(5 * dice.below(60));
  }

  quorum.network.join();
  quorum.network.lossOneIn = 0;
  for (let id = 1; id <= NODES; id++) if (!quorum.nodes.has(id)) await start(id);
  const nodes = [...quorum.nodes.values()];
  // Whoever leads may be about to hand the lead over, or to leave: then it is for the next one.
  let last: string | undefined;
  for (let attempt = 1; last === undefined; attempt++) {
    const leader = await quorum.until('a leader after healing', () => quorum.leader);
    const text = `last ${attempt}`;
    const done = leader.node.propose([Buffer.from(text)]);
    last = await quorum.settled(
      done.then(
        () => text,
        () => undefined,
      ),
    );
    if (last === undefined) await quorum.run(100);
  }
  const lastText = last;
  await quorum.until('all have caught up', () => nodes.every(({ journal }) => journal.commands.includes(lastText)));
  await quorum.settled(Promise.all(uncertain));

  const [first, ...others] = nodes.map(({ journal }) => journal.commands);
  for (const other of others) expect(other).toEqual(first);
  // All acknowledged are there, once; and whatever had been acknowledged when one was proposed stands before it.
  const places = new Map(first?.map((text, at) => [text, at]));
  let furthest = -1;
  const furthestOf = [
    furthest,
    ...acknowledged.map((text) => (furthest = Math.max(furthest, places.get(text) ?? Infinity))),
  ];
  for (const text of acknowledged) {
    expect(places.get(text)).toBeGreaterThan(furthestOf[acknowledgedBefore.get(text) ?? 0] ?? Infinity);
  }
  expect(new Set(first).size).toBe(first?.length);
  tally.acknowledged += acknowledged.length;
  tally.restores += restores + nodes.reduce((sum, { journal }) => sum + journal.restores, 0);
  for (const { node } of nodes) await expectNoFault(node.failed);
  await quorum.stop();
}

async function expectNoFault(failed: Promise<never>): Promise<void> {
  expect(await Promise.race([failed.catch((fault: unknown) => fault), Promise.resolve('none')])).toBe('none');
}

describe('a quorum of whole nodes under random misfortune', () => {
  it(`keeps what it acknowledged (${SEEDS} seeds)`, async () => {
    const tally: Tally = { acknowledged: 0, restores: 0, crashes: 0, changes: 0, transfers: 0 };
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
      try {
        await misfortune(seed, tally);
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error });
      }
    }
    expect(tally.acknowledged).toBeGreaterThan(20 * SEEDS);
    expect(tally.restores).toBeGreaterThan(SEEDS);
    expect(tally.crashes).toBeGreaterThan(SEEDS);
    expect(tally.changes).toBeGreaterThan(SEEDS);
    expect(tally.transfers).toBeGreaterThan(SEEDS / 5);
    if (process.env.RAFT_SEEDS !== undefined) console.log(tally);
  }, 120_000);
});
