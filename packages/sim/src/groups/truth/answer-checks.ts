/**
 * Everything that a coordinator answers to anybody, as it arrives: it must have been so, and committed, at
 * some moment between the arrival of the question and now.
 *
 *   told            a heartbeat's epoch, and what it says that the member owns, at that version
 *   committed       a commit that was acknowledged: its offset
 *   fenced-commit   whose commit was acknowledged owned the partition in that incarnation; or the group was empty
 *   fetched         a fetched offset, and that the member who was told it was one
 *   fenced          a member that was told three times that its life is over has ended it
 */
import { partitionKey } from '@barnabas/broker/parts';
import type { GroupImage } from '@barnabas/broker/parts';
import { errorFromProto } from '@barnabas/protocol';
import type { v1 } from '@barnabas/protocol';
import { Violation } from '../../kernel/violation.js';
import type { Envelope } from '../../cluster/network/call.js';
import type { GroupHistory } from './group-history.js';
import type { Rewinds } from './rewinds.js';

interface Question {
  readonly message: unknown;
  readonly at: number;
}

const METHODS = new Set(['ConsumerGroupHeartbeat', 'CommitOffsets', 'FetchOffsets']);
/** An answer that is seen on its way may come too late for its call, or to a member that stands still: once or twice, not for ever. */
const TOO_OFTEN = 8;

export interface AnswerCheckParts {
  readonly history: GroupHistory;
  readonly rewinds: Rewinds;
  readonly topicId: (name: string) => string | undefined;
  /** A life of a member was told that it is over: does it go on? */
  readonly goesOn: (groupId: string, memberId: string, incarnation: number) => boolean;
  readonly count: (what: string) => void;
}

export class AnswerChecks {
  readonly #questions = new WeakMap<object, Question>();
  /** How often a life was told that it is over. */
  readonly #fenced = new Map<string, number>();

  constructor(private readonly parts: AnswerCheckParts) {}

  heard({ method, isRequest, message, call }: Envelope): void {
    if (!METHODS.has(method)) return;
    if (isRequest) {
      this.#questions.set(call, { message, at: this.parts.history.now });
      if (method === 'CommitOffsets') this.#noteRewinds(message as v1.CommitOffsetsRequest);
      return;
    }
    const question = this.#questions.get(call);
    if (question === undefined) return;
    const { at } = question;
    if (method === 'ConsumerGroupHeartbeat') {
      this.#heartbeat(question.message as v1.ConsumerGroupHeartbeatRequest, message as never, at);
    } else if (method === 'CommitOffsets') {
      this.#commit(question.message as v1.CommitOffsetsRequest, message as never, at);
    } else this.#fetch(question.message as v1.FetchOffsetsRequest, message as never, at);
  }

  #noteRewinds({ groupId, memberId, offsets }: v1.CommitOffsetsRequest): void {
    for (const { partition, offset, rewinds } of offsets) {
      const key = this.#keyOf(partition);
      if (memberId === '') this.parts.rewinds.reset(groupId, key, offset);
      else if (rewinds !== undefined) this.parts.rewinds.asked(groupId, key, { rewinds, offset });
    }
  }

  #heartbeat(request: v1.ConsumerGroupHeartbeatRequest, answer: v1.ConsumerGroupHeartbeatResponse, at: number): void {
    const { groupId, memberId, incarnation, memberEpoch } = request;
    if (answer.error !== undefined) {
      this.#refused(request, errorFromProto(answer.error).errorName);
      return;
    }
    this.parts.count('heartbeats answered');
    const moments = this.parts.history.since(groupId, at);
    if (memberEpoch < 0) {
      const isGone = (image: GroupImage) => (image.members.get(memberId)?.epoch ?? memberEpoch) === memberEpoch;
      if (moments.some(isGone)) return;
      throw new Violation('told', 'a member was told that it has left, and it has not', { groupId, memberId });
    }
    const lives = moments.map((image) => image.members.get(memberId));
    const isTrue = lives.some((member) => {
      // It waited for news, and has left by another call.
      if (answer.memberEpoch < 0) return member === undefined || member.epoch === answer.memberEpoch;
      if (member === undefined || member.incarnation !== incarnation || member.epoch !== answer.memberEpoch)
        return false;
      const { assignment } = answer;
      if (assignment === undefined) return true;
      const keys = assignment.partitions.map((one) => this.#keyOf(one));
      return (
        member.assignmentVersion === assignment.version &&
        member.assigned.size === keys.length &&
        keys.every((key) => member.assigned.has(key))
      );
    });
    if (isTrue) return;
    throw new Violation('told', 'a member was told what was not so, or not committed', {
      ...{ groupId, memberId, incarnation, epoch: answer.memberEpoch, version: answer.assignment?.version },
      partitions: answer.assignment?.partitions.map((one) => this.#keyOf(one)).join(),
      truth: lives
        .map(
          (one) =>
            one && `inc ${one.incarnation} e${one.epoch} v${one.assignmentVersion} ${[...one.assigned.keys()].join()}`,
        )
        .join(' | '),
    });
  }

  #refused({ groupId, memberId, incarnation }: v1.ConsumerGroupHeartbeatRequest, errorName: string): void {
    this.parts.count(`heartbeats refused with ${errorName}`);
    if (errorName !== 'FENCED_MEMBER_EPOCH' && errorName !== 'UNKNOWN_MEMBER_ID') return;
    const life = `${groupId}/${memberId}/${incarnation}`;
    const times = (this.#fenced.get(life) ?? 0) + 1;
    this.#fenced.set(life, times);
    if (times < TOO_OFTEN || !this.parts.goesOn(groupId, memberId, incarnation)) return;
    throw new Violation('fenced', 'a member goes on although it was told that it is over', {
      ...{ groupId, memberId, incarnation, times },
    });
  }

  #commit(request: v1.CommitOffsetsRequest, answer: v1.CommitOffsetsResponse, at: number): void {
    const { groupId, memberId, incarnation, offsets } = request;
    if (answer.error !== undefined) {
      this.parts.count(`commits refused with ${errorFromProto(answer.error).errorName}`);
      return;
    }
    const moments = this.parts.history.since(groupId, at);
    for (const [index, { partition, offset, rewinds }] of offsets.entries()) {
      const error = answer.results[index]?.error;
      this.parts.count(error === undefined ? 'commits acknowledged' : 'commits of a partition refused');
      if (error !== undefined) continue;
      const key = this.#keyOf(partition);
      const mayCommit = moments.some((image) =>
        memberId === ''
          ? image.members.size === 0
          : image.owners.get(key) === memberId && image.members.get(memberId)?.incarnation === incarnation,
      );
      if (!mayCommit) {
        throw new Violation('fenced-commit', 'a commit was acknowledged to somebody who did not own the partition', {
          ...{ groupId, memberId, incarnation, key, offset },
        });
      }
      const values = moments.map((image) => image.offsets.get(key));
      // What takes the place of a commit that is late was committed later.
      const isTrue = values.some((value) => {
        if (value === undefined) return false;
        const counted = rewinds ?? value.rewinds;
        const isLater = value.rewinds > counted || (value.rewinds === counted && value.offset > offset);
        return value.offset === offset || (memberId !== '' && isLater);
      });
      if (isTrue) continue;
      throw new Violation('committed', 'a commit was acknowledged and is not committed', {
        ...{ groupId, memberId, key, offset, rewinds },
        truth: values.map((value) => value && `${value.rewinds}:${value.offset}`).join(),
      });
    }
  }

  #fetch(request: v1.FetchOffsetsRequest, answer: v1.FetchOffsetsResponse, at: number): void {
    const { groupId, memberId, memberEpoch = -1 } = request;
    if (answer.error !== undefined) {
      this.parts.count(`fetches refused with ${errorFromProto(answer.error).errorName}`);
      return;
    }
    this.parts.count('offsets fetched');
    const moments = this.parts.history.since(groupId, at);
    const wasMember = moments.some((image) => image.members.get(memberId)?.epoch === memberEpoch);
    if (memberId !== '' && !wasMember) {
      throw new Violation('fetched', 'somebody who was no member then was told offsets', {
        groupId,
        memberId,
        memberEpoch,
      });
    }
    for (const { partition, offset, error } of answer.offsets) {
      if (error !== undefined) continue;
      const key = this.#keyOf(partition);
      const values = moments.map((image) => image.offsets.get(key)?.offset ?? -1);
      if (values.includes(offset)) continue;
      throw new Violation('fetched', 'a fetched offset was not what is committed', {
        ...{ groupId, memberId, key, offset, truth: values.join() },
      });
    }
  }

  #keyOf(partition: v1.GroupPartition | undefined): string {
    const { topic = '', topicId = '', partition: number = 0 } = partition ?? {};
    return partitionKey(topicId === '' ? (this.parts.topicId(topic) ?? '') : topicId, number);
  }
}
