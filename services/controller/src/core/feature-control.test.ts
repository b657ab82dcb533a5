import { SUPPORTED_FEATURES, SUPPORTED_METADATA_VERSION, announcedFeatures } from '@barnabas/metadata';
import type { FeatureRangeImage } from '@barnabas/metadata';
import { CoreCluster } from '../test-kit/core-cluster.js';
import { describeFeatures, updateFeatures } from './feature-control.js';
import type { ControllerFeatures } from './feature-control.js';

const NAME = 'metadata.version';
const ONLY_FIRST = [{ name: NAME, minLevel: 1, maxLevel: 1 }];
const all: ControllerFeatures[] = [1, 2, 3].map((id) => ({ id, supported: SUPPORTED_FEATURES }));

let core: CoreCluster;
beforeEach(() => {
  core = new CoreCluster();
  setLevel(1);
});

function setLevel(level: number): void {
  core.write({ record: { $case: 'featureLevel', featureLevel: { name: NAME, level } } });
}

interface Options {
  readonly allowDowngrade?: boolean;
  readonly validateOnly?: boolean;
  readonly controllers?: readonly ControllerFeatures[];
  readonly name?: string;
}

function update(level: number, options: Options = {}): number {
  const { allowDowngrade = false, validateOnly = false, controllers = all, name = NAME } = options;
  const request = { updates: [{ name, level, allowDowngrade }], validateOnly };
  core.run(updateFeatures(core.image, request, controllers));
  return core.image.features.get(name) ?? 0;
}

const refused = (message: RegExp) =>
  expect.objectContaining({ errorName: 'FEATURE_UPDATE_FAILED', message: expect.stringMatching(message) });

test('a level is raised when every node supports it', () => {
  core.join(1);
  expect(describeFeatures(core.image)).toEqual([
    { name: NAME, level: 1, minSupported: 1, maxSupported: SUPPORTED_METADATA_VERSION },
  ]);
  expect(update(2, { validateOnly: true })).toBe(1);
  expect(update(2)).toBe(2);
  const { image } = core;
  expect(update(2)).toBe(2);
  expect(core.image).toBe(image);
});

test('not while a broker does not, even one that is fenced', () => {
  core.register(core.registration(7, { features: ONLY_FIRST }));
  expect(() => update(2)).toThrow(refused(/broker 7 supports 1 to 1: upgrade it, or unregister it/));
  core.register(core.registration(7, { features: [] }));
  expect(() => update(2)).toThrow(refused(/broker 7 supports 1 to 1/));
  core.register(core.registration(7, { features: announcedFeatures() }));
  expect(update(2)).toBe(2);
});

test('not while a controller does not, or does not answer', () => {
  const with2 = (supported: ReadonlyMap<string, FeatureRangeImage> | undefined) => [
    ...all.slice(0, 2),
    { id: 3, supported },
  ];
  expect(() => update(2, { controllers: with2(undefined) })).toThrow(refused(/controller 3 did not say/));
  const first = new Map([[NAME, { minLevel: 1, maxLevel: 1 }]]);
  expect(() => update(2, { controllers: with2(first) })).toThrow(refused(/controller 3 supports 1 to 1/));
});

test('not to what nobody knows', () => {
  expect(() => update(99)).toThrow(refused(/controller 1 supports 1 to 2/));
  expect(() => update(1, { name: 'warp' })).toThrow(refused(/controller 1 does not know it/));
  expect(update(0, { name: 'warp' })).toBe(0);
  expect(() => update(0, { allowDowngrade: true })).toThrow(refused(/metadata.version cannot be at 0/));
});

test('a broker that does not support the level is not let in any more', () => {
  setLevel(2);
  expect(() => core.register(core.registration(1, { features: ONLY_FIRST }))).toThrow(
    expect.objectContaining({ errorName: 'UNSUPPORTED_VERSION' }),
  );
});

test('a lower level must be allowed, and the log must have nothing that it lacks', () => {
  setLevel(2);
  for (const id of [1, 2]) core.join(id);
  expect(() => update(1)).toThrow(refused(/allow_downgrade/));
  core.createTopic('a', { replicationFactor: 2 });
  expect(() => update(1, { allowDowngrade: true })).toThrow(refused(/topic a has more than one replica/));
  core.run(core.topics.deleteTopics(core.image, ['a']));
  const change = { brokerId: 1, brokerEpoch: core.broker(1).epoch, decommissioning: true };
  const record = (decommissioning: boolean) => ({
    record: { $case: 'brokerRegistrationChange' as const, brokerRegistrationChange: { ...change, decommissioning } },
  });
  core.write(record(true));
  expect(() => update(1, { allowDowngrade: true })).toThrow(refused(/broker 1 is being decommissioned/));
  core.write(record(false));
  core.createTopic('b');
  expect(update(1, { allowDowngrade: true })).toBe(1);
  // From here on the log gets nothing that a node of the first release does not know.
  core.heartbeat(core.partition('b', 0).leader, { wantFence: true });
  expect(core.partition('b', 0)).toMatchObject({ leader: -1, lastKnownElr: [] });
});

test.each([
  ['nothing', []],
  ['a feature twice', [1, 2].map((level) => ({ name: NAME, level, allowDowngrade: false }))],
  ['a negative level', [{ name: NAME, level: -1, allowDowngrade: true }]],
  ['too many', Array.from({ length: 101 }, (_, index) => ({ name: `f${index}`, level: 0, allowDowngrade: false }))],
])('%s is refused', (_name, updates) => {
  expect(() => updateFeatures(core.image, { updates, validateOnly: false }, all)).toThrow(
    expect.objectContaining({ errorName: 'INVALID_REQUEST' }),
  );
});
