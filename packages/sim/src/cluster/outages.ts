/** Troubles of the network, each with a time after which it is over. */
import type { RoleNode } from './nodes/role-node.js';
import type { Surroundings } from './surroundings.js';

type Way = readonly [from: string, to: string];

export class Outages {
  constructor(private readonly around: Surroundings) {}

  /** Nobody on this side hears anybody of the others, and the other way round. Clients reach everybody. */
  separate(side: readonly RoleNode[], others: readonly RoleNode[], ms: number): void {
    const beyond = others.filter((node) => !side.includes(node));
    this.#cut(
      side.flatMap((here) =>
        beyond.flatMap((there): Way[] => [
          [here.name, there.name],
          [there.name, here.name],
        ]),
      ),
      ms,
    );
  }

  /** What the one says does not reach the others. */
  mute(speaker: RoleNode, listeners: readonly RoleNode[], ms: number): void {
    this.#cut(waysFrom(speaker, listeners), ms);
  }

  /** What the others say does not reach the one. */
  deafen(listener: RoleNode, speakers: readonly RoleNode[], ms: number): void {
    this.#cut(
      waysFrom(listener, speakers).map(([from, to]): Way => [to, from]),
      ms,
    );
  }

  /** Messages between the one and the others take up to so much longer, in both directions. */
  slow(node: RoleNode, others: readonly RoleNode[], extraMs: number, ms: number): void {
    const { links } = this.around.network;
    const ways = waysFrom(node, others).flatMap(([from, to]): Way[] => [
      [from, to],
      [to, from],
    ]);
    for (const [from, to] of ways) links.slow(from, to, extraMs);
    this.around.scheduler.after(ms, 'links are quick again', () => {
      for (const [from, to] of ways) links.slow(from, to, 0);
    });
  }

  #cut(ways: readonly Way[], ms: number): void {
    const { network, scheduler } = this.around;
    for (const [from, to] of ways) network.cut(from, to);
    scheduler.after(ms, 'links are whole again', () => {
      for (const [from, to] of ways) network.links.mend(from, to);
    });
  }
}

function waysFrom(node: RoleNode, others: readonly RoleNode[]): Way[] {
  return others.filter((other) => other !== node).map((other): Way => [node.name, other.name]);
}
