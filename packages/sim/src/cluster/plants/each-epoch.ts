/** What a planted bug changes of a leader, it changes anew in each epoch. */
import type { ReplicaPartition } from '@barnabas/broker/parts';

type Leading = NonNullable<ReplicaPartition['leading']>;

/** Changes each leader epoch once, in the event after the one in which it began. */
export function eachEpoch(
  change: (leading: Leading, replica: ReplicaPartition) => void,
): (replica: ReplicaPartition) => void {
  const changed = new WeakSet<Leading>();
  return (replica) => {
    const { leading } = replica;
    if (leading === undefined || changed.has(leading)) return;
    changed.add(leading);
    change(leading, replica);
  };
}
