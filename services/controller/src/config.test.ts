import { effectiveTopicValue, emptyImage } from '@barnabas/metadata';
import { controllerConfig, settingsOf } from './config.js';

const required = { 'node.id': '1', 'metadata.log.dir': 'data' };

test('defaults are those of Kafka', () => {
  const config = controllerConfig.parse(required);
  expect(config['controller.listeners']).toEqual([{ name: 'CONTROLLER', host: '127.0.0.1', port: 7800 }]);
  expect(settingsOf(config)).toMatchObject({
    numPartitions: 1,
    defaultReplicationFactor: 1,
    autoCreateTopics: true,
    deleteTopics: true,
    sessionTimeoutMs: 9000,
  });
});

test('the default for unclean elections reaches decisions', () => {
  const { defaults } = settingsOf(controllerConfig.parse({ ...required, 'unclean.leader.election.enable': 'true' }));
  expect(effectiveTopicValue(emptyImage, 'a', 'unclean.leader.election.enable', defaults)).toBe(true);
  expect(effectiveTopicValue(emptyImage, 'a', 'unclean.leader.election.enable')).toBe(false);
});

test.each([
  [{ 'broker.session.timeout.ms': 'x' }, /broker.session.timeout.ms must be a whole number, at least 10/],
  [{ 'num.partitons': '1' }, /nearest known key is num.partitions/],
  [{ 'controller.listeners': 'A://:1,B://:2' }, /controller.listeners must be exactly one listener/],
  [{ 'controller.quorum.voters': '1@a:1,2@b:1' }, /cluster.id must be given where there are several controllers/],
  [{ 'node.id': undefined }, /node.id must be given/],
])('%j is refused', (change, message) => {
  expect(() => controllerConfig.parse({ ...required, ...change })).toThrow(message);
});
