/** The topics of a run and what may be expected of each. */
import type { Dice } from '../kernel/dice.js';

export interface TopicPlan {
  readonly name: string;
  readonly partitions: number;
  readonly replicationFactor: number;
  /** Synced by number and time: what was acknowledged may be lost with the power of several machines. */
  readonly isRelaxed: boolean;
  /** Whoever is left is elected, whatever he lacks. */
  readonly isUnclean: boolean;
  /** May be deleted and made again. */
  readonly isMortal: boolean;
  readonly config: Readonly<Record<string, string>>;
}

/** What a topic of the run must be for a planted bug to show. */
export type TopicNeed = 'relaxed' | 'mortal' | 'minIsr2' | 'minIsr1' | 'manyPartitions';

type Freedoms = Pick<TopicPlan, 'isRelaxed' | 'isUnclean' | 'isMortal'>;

const NO_FREEDOM: Freedoms = { isRelaxed: false, isUnclean: false, isMortal: false };

export function planTopics(dice: Dice, needs: readonly TopicNeed[]): readonly TopicPlan[] {
  const replicationFactor = 3;
  const minIsr = needs.includes('minIsr1') ? 1 : needs.includes('minIsr2') ? 2 : dice.pick([1, 2]);
  const strict = topic(dice, 'strict', replicationFactor, minIsr, NO_FREEDOM, needs.includes('manyPartitions'));
  const replicas = needs.includes('relaxed') ? replicationFactor : dice.pick([1, 2, 3]);
  const other = topic(dice, 'other', replicas, dice.pick([1, 2]), {
    isRelaxed: dice.chance(0.3) || needs.includes('relaxed'),
    isUnclean: dice.chance(0.05),
    isMortal: dice.chance(0.3) || needs.includes('mortal'),
  });
  const wantsOther = needs.includes('relaxed') || needs.includes('mortal');
  return dice.chance(0.5) || wantsOther ? [strict, other] : [strict];
}

function topic(
  dice: Dice,
  name: string,
  replicationFactor: number,
  minIsr: number,
  freedoms: Freedoms,
  isWide = false,
): TopicPlan {
  const config: Record<string, string> = {
    'segment.ms': String(dice.between(500, 10_000)),
    'file.delete.delay.ms': String(dice.between(0, 500)),
    'retention.ms': '-1',
    'min.insync.replicas': String(Math.min(minIsr, replicationFactor)),
  };
  if (freedoms.isRelaxed) {
    config['flush.messages'] = String(dice.between(2, 200));
    config['flush.ms'] = String(dice.between(10, 1000));
  }
  if (freedoms.isUnclean) config['unclean.leader.election.enable'] = 'true';
  return { name, partitions: isWide ? 4 : dice.pick([1, 2, 4]), replicationFactor, ...freedoms, config };
}
