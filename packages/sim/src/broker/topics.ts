/** The topics of a run and what may be expected of each. */
import type { Dice } from '../kernel/dice.js';

export interface TopicPlan {
  readonly name: string;
  readonly partitions: number;
  /** Synced by number and time as Kafka does it: what was acknowledged may be lost with the power. */
  readonly isRelaxed: boolean;
  /** Old records may go. */
  readonly hasRetention: boolean;
  /** May be deleted and made again. */
  readonly isMortal: boolean;
  readonly config: Readonly<Record<string, string>>;
}

type Freedoms = Pick<TopicPlan, 'isRelaxed' | 'hasRetention' | 'isMortal'>;

export function planTopics(dice: Dice, wanted: Partial<Freedoms>): readonly TopicPlan[] {
  return [
    // One at least of which everything is expected.
    topic('strict', dice.between(1, 2), dice, NO_FREEDOM),
    topic('other', dice.between(1, 2), dice, {
      isRelaxed: dice.chance(0.4) || wanted.isRelaxed === true,
      hasRetention: dice.chance(0.5),
      isMortal: dice.chance(0.5) || wanted.isMortal === true,
    }),
  ];
}

/** A setting that may change while the topic lives, without anything else being expected of it. */
export function newSetting({ isRelaxed, hasRetention }: TopicPlan, dice: Dice): readonly [key: string, value: string] {
  const settings: [string, string][] = [['segment.ms', String(dice.between(20, 2000))]];
  if (isRelaxed) settings.push(['flush.messages', String(dice.between(1, 200))]);
  if (hasRetention) settings.push(['retention.bytes', String(dice.between(500, 20_000))]);
  return dice.pick(settings);
}

const NO_FREEDOM: Freedoms = { isRelaxed: false, hasRetention: false, isMortal: false };

function topic(name: string, partitions: number, dice: Dice, freedoms: Freedoms): TopicPlan {
  const { isRelaxed, hasRetention, isMortal } = freedoms;
  const config: Record<string, string> = {
    'segment.ms': String(dice.between(20, 2000)),
    'file.delete.delay.ms': String(dice.between(0, 500)),
    'retention.ms': '-1',
  };
  if (isRelaxed) {
    config['flush.messages'] = String(dice.between(2, 200));
    config['flush.ms'] = String(dice.between(10, 1000));
  }
  if (hasRetention && dice.chance(0.5)) config['retention.ms'] = String(dice.between(200, 5000));
  if (hasRetention) config['retention.bytes'] = String(dice.between(500, 20_000));
  if (dice.chance(0.2)) config['message.timestamp.type'] = 'LogAppendTime';
  if (dice.chance(0.1)) config['compression.type'] = dice.pick(['lz4', 'uncompressed', 'gzip']);
  return { name, partitions, isRelaxed, hasRetention, isMortal, config };
}
