/** What a transport is made of, for whoever brings one of his own: the simulator, whose network is in virtual time. */
export { callContext, Cancellation } from './call-context.js';
export { brokenOffHere, callerGone, cancelledHere, deadlinePassed, notServed } from './call-errors.js';
export { routesOf } from './dispatch.js';
export type { DispatchOptions, Route } from './dispatch.js';
export type { OutgoingCall, Transport, TransportFinder } from './outgoing-call.js';
export { StreamEnd } from './stream-end.js';
export type { Classify } from './stream-end.js';
