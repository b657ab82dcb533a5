import { ControllerDirectory } from './controller-directory.js';

const at = (id: number, host = `c${id}`) => ({ id, host, port: 7800 });

test('whoever is configured is asked in turn, and known by id where the configuration says so', () => {
  const directory = ControllerDirectory.of({
    'controller.quorum.voters': [at(1), at(2)],
    'controller.quorum.bootstrap.servers': [
      { host: 'c2', port: 7800 },
      { host: 'c3', port: 7800 },
    ],
  });
  expect(directory.places).toEqual([at(1), at(2), { id: undefined, host: 'c3', port: 7800 }]);
  expect([0, 1, 2, 3].map((turn) => directory.at(turn).host)).toEqual(['c1', 'c2', 'c3', 'c1']);
  expect(directory.withId(2)).toEqual(at(2));
  expect(directory.withId(3)).toBeUndefined();
  expect(directory.voters).toEqual([at(1), at(2)]);
});

test('what the quorum says of itself comes first, and what is configured stays as somebody to ask', () => {
  const directory = new ControllerDirectory([at(1), at(2)]);
  // 2 has moved, 1 is gone, 3 is new.
  directory.learn([at(3), at(2, 'moved')]);
  expect(directory.voters).toEqual([at(3), at(2, 'moved')]);
  expect(directory.places).toEqual([at(3), at(2, 'moved'), at(1), { ...at(2), id: undefined }]);
  expect(directory.withId(2)).toEqual(at(2, 'moved'));
  directory.learn([at(1)]);
  expect(directory.places.map(({ host }) => host)).toEqual(['c1', 'c2']);
});

test('a controller that does not know the quorum, or not its places, teaches nothing', () => {
  const directory = new ControllerDirectory([at(1)]);
  directory.learn([]);
  directory.learn([{ id: 9, host: '', port: 0 }]);
  expect(directory.voters).toEqual([at(1)]);
});

test('a node that is told of no controller at all is a mistake', () => {
  expect(() => new ControllerDirectory([])).toThrow(/at least one controller/);
});
