/** A cluster in memory for tests of whatever talks to one. */
export { FakeCluster, GATEWAY_ID } from './fake-cluster.js';
export type { FakeClusterOptions } from './fake-cluster.js';
export { FakeGroups } from './fake-group-service.js';
export { FakeGroup, FAKE_INTERVAL_MS, FAKE_SESSION_MS } from './fake-group.js';
export type { FakeCommit, FakeGroupMember, FakeTopicPartition } from './fake-group.js';
export { fakeController, FakeQuorum } from './fake-quorum.js';
export { FakeReplicaSets } from './fake-replica-sets.js';
export type { FakeReplicaSet } from './fake-replica-sets.js';
export { FakePartition } from './fake-partition.js';
export { onMethod, times } from './interception.js';
export type { InterceptedRequest, Interception, Interceptor } from './interception.js';
export { Harness } from './harness.js';
export type { HarnessOptions } from './harness.js';
export { runUntil, settle, testEnvironment } from './test-environment.js';
export type { TestEnvironment } from './test-environment.js';
