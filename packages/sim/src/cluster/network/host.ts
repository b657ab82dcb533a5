/** A machine as the network knows it: a name, whether it has power, and the process that listens there. */
import type { Listener } from './call.js';

export class Host {
  listener: Listener | undefined;
  /** Nobody answers, not even the operating system. */
  isOff = false;

  constructor(readonly name: string) {}
}
