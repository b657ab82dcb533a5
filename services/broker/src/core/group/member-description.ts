/** How a member describes itself: who it is, and what it wants to read. */
import type { MemberImage } from './group-image.js';

export type MemberDescription = Pick<
  MemberImage,
  | 'instanceId'
  | 'rackId'
  | 'clientId'
  | 'clientHost'
  | 'topicNames'
  | 'topicPattern'
  | 'rebalanceTimeoutMs'
  | 'serverAssignor'
  | 'incarnation'
>;

/** As much of it as a request says. */
export type PartialDescription = Partial<MemberDescription> & Pick<MemberDescription, 'incarnation'>;

/** What is absent from the request is as it was. */
export function descriptionOf(before: MemberImage | undefined, request: PartialDescription): MemberDescription {
  return {
    instanceId: request.instanceId ?? before?.instanceId ?? '',
    rackId: request.rackId ?? before?.rackId ?? '',
    clientId: request.clientId ?? before?.clientId ?? '',
    clientHost: request.clientHost ?? before?.clientHost ?? '',
    topicNames: request.topicNames === undefined ? (before?.topicNames ?? []) : [...new Set(request.topicNames)].sort(),
    topicPattern: request.topicPattern ?? before?.topicPattern ?? '',
    rebalanceTimeoutMs: request.rebalanceTimeoutMs ?? before?.rebalanceTimeoutMs ?? 0,
    serverAssignor: request.serverAssignor ?? before?.serverAssignor ?? '',
    incarnation: request.incarnation,
  };
}

export function sameDescription(one: MemberDescription, other: MemberDescription): boolean {
  return (
    sameSubscription(one, other) &&
    one.instanceId === other.instanceId &&
    one.clientId === other.clientId &&
    one.clientHost === other.clientHost &&
    one.rebalanceTimeoutMs === other.rebalanceTimeoutMs &&
    one.incarnation === other.incarnation
  );
}

/** What a target assignment depends on. */
export function sameSubscription(one: MemberDescription, other: MemberDescription): boolean {
  return (
    one.rackId === other.rackId &&
    one.serverAssignor === other.serverAssignor &&
    one.topicPattern === other.topicPattern &&
    one.topicNames.length === other.topicNames.length &&
    one.topicNames.every((name, index) => name === other.topicNames[index])
  );
}
