/** Each anomaly planted once in a history that is otherwise good. */
import { GroupChecker } from './checker';
import type { AnomalyKind } from './checker';
import type { HandOver } from './hand-overs';
import type { GroupEvent, Written } from './history';

/** Values of partition p are 100 p + offset, unless told otherwise. */
class Story {
  readonly #checker = new GroupChecker(2);
  readonly #written = new Map<number, Written>();
  #atMs = 0;

  later(ms: number): this {
    this.#atMs += ms;
    return this;
  }

  assigned(member: string, partition: number, offset: number): this {
    const memberId = `id of ${member}`;
    return this.#tell({ kind: 'assigned', atMs: this.#atMs, member, memberId, partition, offset });
  }

  gone(kind: 'revoked' | 'lost', member: string, partition: number): this {
    return this.#tell({ kind, atMs: this.#atMs, member, partition });
  }

  given(member: string, partition: number, ...offsets: number[]): this {
    for (const offset of offsets) this.givenValue(member, partition, offset, 100 * partition + offset);
    return this;
  }

  givenValue(member: string, partition: number, offset: number, value: number): this {
    this.sent(partition, value, offset);
    return this.#tell({ kind: 'record', atMs: this.#atMs, member, partition, offset, value });
  }

  committed(partition: number, offset: number): this {
    return this.#tell({ kind: 'committed', atMs: this.#atMs, partition, offset });
  }

  killed(member: string): this {
    return this.#tell({ kind: 'kill', atMs: this.#atMs, member });
  }

  fault(kind: 'fault' | 'fault-over'): this {
    return this.#tell({ kind, atMs: this.#atMs, node: 'broker-1' });
  }

  owners(partition: number, ...memberIds: string[]): this {
    const owners = [[partition, memberIds.map((member) => `id of ${member}`)]] as const;
    return this.#tell({ kind: 'owners', askedMs: this.#atMs - 1, atMs: this.#atMs, owners });
  }

  hindered(member: string): this {
    return this.#tell({ kind: 'hindered', atMs: this.#atMs, member });
  }

  free(member: string): this {
    return this.#tell({ kind: 'free', atMs: this.#atMs, member });
  }

  sent(partition: number, value: number, offset: number | undefined, isAcknowledged = true): this {
    if (!this.#written.has(value)) this.#written.set(value, { value, partition, isAcknowledged, offset });
    return this;
  }

  forget(value: number): this {
    this.#written.delete(value);
    return this;
  }

  inFlightOf(member: string): number {
    return this.#checker.inFlightOf(member);
  }

  anomalies(): readonly AnomalyKind[] {
    return this.#verdict().anomalies.map(({ kind }) => kind);
  }

  givenToFenced(): number {
    return this.#verdict().givenToFenced;
  }

  handOvers(): readonly HandOver[] {
    return this.#verdict().handOvers;
  }

  #verdict() {
    return this.#checker.finish(this.#written.values());
  }

  #tell(event: GroupEvent): this {
    this.#checker.observe(event);
    return this;
  }
}

/** A member has read 0 to 4 and committed 3. */
const reading = () => new Story().assigned('a', 0, 0).given('a', 0, 0, 1, 2, 3, 4).committed(0, 3);

describe('the checker of groups', () => {
  it('finds nothing in a history in which a partition goes from one member to another in good order', () => {
    const story = reading().committed(0, 5).gone('revoked', 'a', 0).later(10).assigned('b', 0, 5).given('b', 0, 5, 6);
    expect(story.anomalies()).toEqual([]);
    expect(story.handOvers()).toEqual([
      { partition: 0, from: 'a', to: 'b', ending: 'orderly', isDisturbed: false, start: 5, repeated: 0, inFlight: 0 },
    ]);
  });

  it('counts what is given twice after a kill, and how much it may be', () => {
    const story = reading();
    expect(story.inFlightOf('a')).toBe(2);
    story.killed('a').later(6_000).assigned('b', 0, 3).given('b', 0, 3, 4, 5);
    expect(story.anomalies()).toEqual([]);
    expect(story.handOvers()).toEqual([
      { partition: 0, from: 'a', to: 'b', ending: 'killed', isDisturbed: false, start: 3, repeated: 2, inFlight: 2 },
    ]);
  });

  it('excuses what is given twice after good order only while a node is down, and for a while after', () => {
    const twice = (story: Story) => story.gone('revoked', 'a', 0).assigned('b', 0, 3).given('b', 0, 3, 4);
    expect(twice(reading()).anomalies()).toEqual(['needless-repeat']);
    expect(twice(reading().fault('fault').later(1_000)).anomalies()).toEqual([]);
    expect(twice(reading().fault('fault').fault('fault-over').later(14_000)).anomalies()).toEqual([]);
    expect(twice(reading().fault('fault').fault('fault-over').later(16_000)).anomalies()).toEqual(['needless-repeat']);
  });

  it('does not excuse a member that was killed long after it had given the partition up', () => {
    const story = reading().gone('revoked', 'a', 0).assigned('b', 0, 3).given('b', 0, 3).later(10).killed('a');
    expect(story.anomalies()).toEqual(['needless-repeat']);
  });

  it('blames nobody who printed nothing for what was given twice after a kill', () => {
    const story = reading().killed('a').later(6_000).assigned('b', 0, 3).gone('revoked', 'b', 0).later(10);
    expect(story.assigned('c', 0, 3).given('c', 0, 3, 4, 5).anomalies()).toEqual([]);
    expect(story.handOvers()).toMatchObject([
      { from: 'a', to: 'b', ending: 'killed', repeated: 0 },
      { from: 'a', to: 'c', ending: 'killed', repeated: 2 },
    ]);
  });

  it('blames whoever printed and gave up in good order, though another came and went between', () => {
    const story = reading().gone('revoked', 'a', 0).later(10).assigned('b', 0, 3).killed('b').later(6_000);
    expect(story.assigned('c', 0, 3).given('c', 0, 3, 4).anomalies()).toEqual(['needless-repeat']);
  });

  it('excuses a member that was told that it has lost the partition', () => {
    const story = reading().gone('lost', 'a', 0).assigned('a', 0, 3).given('a', 0, 3, 4);
    expect(story.anomalies()).toEqual([]);
    expect(story.handOvers()).toMatchObject([{ ending: 'lost', repeated: 2 }]);
  });

  describe('with a member that was fenced while it stood still', () => {
    /** The member slept from 1,000 to 9,000; another owns the partition since 7,000. */
    const woken = () =>
      reading()
        .later(1_000)
        .hindered('a')
        .later(6_000)
        .assigned('b', 0, 3)
        .given('b', 0, 3)
        .later(100)
        .owners(0, 'b')
        .committed(0, 3)
        .later(1_900)
        .free('a');

    it('counts what it is given before it hears of it, and excuses what is given twice', () => {
      const story = woken()
        .given('a', 0, 5, 6)
        .later(50)
        .gone('lost', 'a', 0)
        .given('b', 0, 4, 5, 6, 7)
        .committed(0, 7);
      expect(story.anomalies()).toEqual([]);
      expect(story.givenToFenced()).toBe(2);
      expect(story.handOvers()).toMatchObject([{ ending: 'lost', repeated: 4, inFlight: 4 }]);
    });

    it('excuses it too if it is killed before it says anything, or says only then that it gave up', () => {
      const killed = woken().later(50).killed('a').given('b', 0, 4);
      expect(killed.anomalies()).toEqual([]);
      expect(killed.handOvers()).toMatchObject([{ ending: 'hindered', repeated: 2 }]);
      const late = woken().later(50).gone('revoked', 'a', 0).given('b', 0, 4);
      expect(late.handOvers()).toMatchObject([{ ending: 'hindered', repeated: 2 }]);
    });

    it('does not excuse what it had given up in good order before, or long after it went on', () => {
      const before = reading().hindered('a').gone('revoked', 'a', 0).later(10).assigned('b', 0, 3).given('b', 0, 3, 4);
      expect(before.anomalies()).toEqual(['needless-repeat']);
      const after = reading().hindered('a').later(10).free('a').later(11_000).assigned('b', 0, 3).given('b', 0, 3, 4);
      expect(after.anomalies()).toEqual(['needless-repeat']);
    });

    it('finds one that goes on and on, once nothing is in its way', () => {
      expect(woken().later(9_000).given('a', 0, 5).anomalies()).toEqual([]);
      expect(woken().later(11_000).given('a', 0, 5, 6).anomalies()).toEqual(['fenced-goes-on']);
      expect(woken().hindered('a').later(11_000).given('a', 0, 5).anomalies()).toEqual([]);
      expect(woken().fault('fault').later(11_000).given('a', 0, 5).anomalies()).toEqual([]);
    });

    it('finds what it commits: it counts for no owner', () => {
      expect(woken().given('a', 0, 5, 6).given('b', 0, 4).committed(0, 5).anomalies()).toEqual([]);
      expect(woken().given('a', 0, 5, 6).given('b', 0, 4).committed(0, 7).anomalies()).toEqual(['committed-by-fenced']);
    });

    it('takes no later owner for fenced, of whom the coordinator had not been asked yet', () => {
      const story = reading().killed('a').later(10).assigned('b', 0, 3).owners(0, 'a').given('b', 0, 3, 4, 5);
      expect(story.givenToFenced()).toBe(0);
      expect(story.committed(0, 6).committed(0, 6).anomalies()).toEqual([]);
    });

    it('counts what was committed before the coordinator named another, though it is seen later', () => {
      expect(reading().later(10).assigned('b', 0, 5).later(10).owners(0, 'b').committed(0, 5).anomalies()).toEqual([]);
    });
  });

  it.each<[AnomalyKind, Story]>([
    ['lost', reading().sent(0, 5, 5)],
    ['lost', reading().sent(0, 7, undefined)],
    ['unsent', reading().given('a', 0, 5).forget(5)],
    ['unsent', reading().sent(1, 5, 0, false).given('a', 0, 5)],
    ['inconsistent', reading().killed('a').assigned('b', 0, 3).sent(0, 77, undefined, false).givenValue('b', 0, 3, 77)],
    ['duplicate-write', reading().givenValue('a', 0, 5, 4)],
    ['not-owned', reading().given('a', 1, 0)],
    ['not-owned', reading().gone('revoked', 'a', 0).given('a', 0, 5)],
    ['not-owned', reading().gone('lost', 'a', 0).given('a', 0, 5)],
    ['skipped', reading().given('a', 0, 6)],
    ['out-of-order', reading().given('a', 0, 4)],
    ['committed-backwards', reading().committed(0, 2)],
    ['committed-unseen', reading().committed(0, 6)],
    ['begun-behind-commit', reading().killed('a').assigned('b', 0, 2)],
    ['two-owners', reading().owners(0, 'a', 'b')],
  ])('finds %s', (kind, story) => {
    expect(story.anomalies()).toEqual([kind]);
  });

  it('takes nothing amiss of what was sent and not acknowledged', () => {
    expect(reading().sent(0, 7, undefined, false).anomalies()).toEqual([]);
  });
});
