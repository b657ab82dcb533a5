/** Bugs in how targets are made. */
import type { Assignor, GroupCoordinatorOptions } from '@barnabas/broker/parts';
import type { GroupPlant } from './plant.js';

type Assignment = ReturnType<Assignor['assign']>;

/** Changes targets of members who all subscribe to the same: then anybody may have anything. */
function changeTargets(
  options: GroupCoordinatorOptions,
  change: (assignment: Assignment) => Assignment,
): GroupCoordinatorOptions {
  const assignors = options.settings.assignors.map(
    (assignor): Assignor => ({
      name: assignor.name,
      assign: (input) => {
        const assignment = assignor.assign(input);
        const [first] = input.members;
        const areAlike = input.members.every(
          ({ topicIds }) => [...topicIds].join() === [...(first?.topicIds ?? [])].join(),
        );
        return areAlike ? change(assignment) : assignment;
      },
    }),
  );
  return { ...options, settings: { ...options.settings, assignors } };
}

export const unbalancedTargets: GroupPlant = {
  name: 'unbalanced-targets',
  says: 'one member is given a partition more than is its share',
  caughtBy: ['balanced'],
  coordinator: (options) =>
    changeTargets(options, (assignment) => {
      const bySize = [...assignment].sort(([, one], [, other]) => one.size - other.size);
      const [least, most] = [bySize[0], bySize.at(-1)];
      const moved = least === undefined ? undefined : [...least[1]][0];
      if (least === undefined || most === undefined || moved === undefined || least === most) return assignment;
      return new Map([
        ...assignment,
        [least[0], new Set([...least[1]].filter((key) => key !== moved))],
        [most[0], new Set([...most[1], moved])],
      ]);
    }),
};

export const targetsThatMove: GroupPlant = {
  name: 'targets-that-move',
  says: 'a new target gives everybody what his neighbour had',
  caughtBy: ['sticky'],
  coordinator: (options) =>
    changeTargets(options, (assignment) => {
      const entries = [...assignment];
      return new Map(entries.map(([id], at) => [id, entries[(at + 1) % entries.length]?.[1] ?? new Set<string>()]));
    }),
};
