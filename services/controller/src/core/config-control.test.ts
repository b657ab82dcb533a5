import { v1 } from '@barnabas/protocol';
import { CoreCluster } from '../test-kit/core-cluster.js';
import { alterConfigs } from './config-control.js';

const { AlterConfigOpType, ConfigResourceType, ErrorCode } = v1;
const { SET, DELETE, APPEND, SUBTRACT } = AlterConfigOpType;

let core: CoreCluster;
beforeEach(() => {
  core = new CoreCluster();
  core.join(1);
  core.createTopic('clicks');
});

type Op = readonly [key: string, type: v1.AlterConfigOpType, value?: string];

const topic = { type: ConfigResourceType.TOPIC, name: 'clicks' };
const everyBroker = { type: ConfigResourceType.BROKER, name: '' };

function change(resource: v1.ConfigResource | undefined, ...ops: readonly Op[]): v1.AlterConfigsResource {
  return { resource, ops: ops.map(([key, type, value = '']) => ({ key, type, value })) };
}

function alter(...resources: v1.AlterConfigsResource[]): (v1.Error | undefined)[] {
  const results = core.run(alterConfigs(core.image, { resources, validateOnly: false }, core.settings.defaults));
  return results.map(({ error }) => error);
}

const configs = (type: 'topic' | 'broker', name: string) => Object.fromEntries(core.image.configs.of({ type, name }));

test('keys are set, changed and taken back to their defaults', () => {
  expect(alter(change(topic, ['retention.ms', SET, '1'], ['flush.messages', SET, '5']))).toEqual([undefined]);
  expect(configs('topic', 'clicks')).toEqual({ 'retention.ms': '1', 'flush.messages': '5' });
  alter(change(topic, ['retention.ms', AlterConfigOpType.UNSPECIFIED, '2'], ['flush.messages', DELETE]));
  expect(configs('topic', 'clicks')).toEqual({ 'retention.ms': '2' });
});

test('what changes nothing writes nothing', () => {
  alter(change(topic, ['retention.ms', SET, '1']));
  const { image } = core;
  alter(change(topic, ['retention.ms', SET, '01'], ['segment.ms', DELETE]));
  expect(core.image).toBe(image);
});

test('lists take elements and give them up, starting from their default', () => {
  expect(alter(change(topic, ['cleanup.policy', APPEND, 'delete']))).toEqual([undefined]);
  expect(configs('topic', 'clicks')).toEqual({ 'cleanup.policy': 'delete' });
  expect(alter(change(topic, ['cleanup.policy', APPEND, 'shred']))[0]?.code).toBe(ErrorCode.INVALID_CONFIG);
  expect(alter(change(topic, ['cleanup.policy', SUBTRACT, 'delete']))[0]?.code).toBe(ErrorCode.INVALID_CONFIG);
  expect(alter(change(topic, ['cleanup.policy', SUBTRACT, 'other']))).toEqual([undefined]);
  expect(alter(change(topic, ['retention.ms', APPEND, '1']))[0]).toMatchObject({
    code: ErrorCode.INVALID_CONFIG,
    message: expect.stringMatching(/is no list: use SET/),
  });
});

test('brokers have their own keys, one broker or all of them', () => {
  const one = { type: ConfigResourceType.BROKER, name: '1' };
  expect(
    alter(change(one, ['log.retention.ms', SET, '7']), change(everyBroker, ['log.retention.ms', SET, '8'])),
  ).toEqual([undefined, undefined]);
  expect([configs('broker', '1'), configs('broker', '')]).toEqual([
    { 'log.retention.ms': '7' },
    { 'log.retention.ms': '8' },
  ]);
});

test('changes to one resource stand or fall together, resources alone', () => {
  const errors = alter(
    change(topic, ['retention.ms', SET, '1'], ['segment.bytes', SET, '1']),
    change(everyBroker, ['log.retention.ms', SET, '8']),
  );
  expect(errors.map((error) => error?.code)).toEqual([ErrorCode.INVALID_CONFIG, undefined]);
  expect(configs('topic', 'clicks')).toEqual({});
  expect(configs('broker', '')).toEqual({ 'log.retention.ms': '8' });
});

test.each([
  [
    'an unknown key',
    change(topic, ['retention.s', SET, '1']),
    ErrorCode.INVALID_CONFIG,
    /nearest known key is retention.ms/,
  ],
  ['an unknown key to delete', change(topic, ['retention.s', DELETE]), ErrorCode.INVALID_CONFIG, /nearest known key/],
  [
    "a broker's key on a topic",
    change(topic, ['log.retention.ms', SET, '1']),
    ErrorCode.INVALID_CONFIG,
    /nearest known key is retention.ms/,
  ],
  [
    'a key that only a restart changes',
    change(everyBroker, ['log.dir', SET, '/x']),
    ErrorCode.INVALID_CONFIG,
    /unknown configuration key/,
  ],
  [
    'a wrong value',
    change(topic, ['retention.ms', SET, 'x']),
    ErrorCode.INVALID_CONFIG,
    /must be a whole number, at least -1: "x" is not/,
  ],
  [
    'a value that is too long',
    change(topic, ['retention.ms', SET, '1'.repeat(40_000)]),
    ErrorCode.INVALID_CONFIG,
    /at most 32767/,
  ],
  [
    'a key twice',
    change(topic, ['retention.ms', SET, '1'], ['retention.ms', DELETE]),
    ErrorCode.INVALID_REQUEST,
    /more than once/,
  ],
  ['an unknown topic', change({ ...topic, name: 'x' }), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, /"x" does not exist/],
  ['an unknown broker', change({ ...everyBroker, name: '9' }), ErrorCode.BROKER_ID_NOT_REGISTERED, /no broker "9"/],
  [
    'a broker by another spelling',
    change({ ...everyBroker, name: '01' }),
    ErrorCode.BROKER_ID_NOT_REGISTERED,
    /no broker "01"/,
  ],
  ['no resource', change(undefined), ErrorCode.INVALID_REQUEST, /must be TOPIC or BROKER/],
  [
    'an unknown kind of resource',
    change({ type: 9 as v1.ConfigResourceType, name: 'x' }),
    ErrorCode.INVALID_REQUEST,
    /must be TOPIC or BROKER/,
  ],
  [
    'an unknown kind of change',
    change(topic, ['retention.ms', 9 as v1.AlterConfigOpType, '1']),
    ErrorCode.INVALID_REQUEST,
    /kind of change is not known/,
  ],
])('%s is refused', (_name, resource, code, message) => {
  const { image } = core;
  expect(alter(resource)[0]).toEqual({ code, message: expect.stringMatching(message) });
  expect(core.image).toBe(image);
});

test('a resource is named once, and validation alone changes nothing', () => {
  const twice = alter(change(topic, ['retention.ms', SET, '1']), change(topic, ['segment.ms', SET, '1']));
  expect(twice.map((error) => error?.code)).toEqual([ErrorCode.INVALID_REQUEST, ErrorCode.INVALID_REQUEST]);
  const resources = [change(topic, ['retention.ms', SET, '1'])];
  expect(alterConfigs(core.image, { resources, validateOnly: true }, core.settings.defaults).units).toEqual([]);
  const many = Array.from({ length: 10_001 }, () => change(topic));
  expect(() => alterConfigs(core.image, { resources: many, validateOnly: false }, core.settings.defaults)).toThrow(
    /at most 10000/,
  );
});
