export { controllerConfig } from './config.js';
export type { ControllerConfig } from './config.js';
export { createController } from './create-controller.js';
export type { ControllerOptions } from './create-controller.js';
export { controllerIdentity, formatController } from './format.js';
export type { FormatControllerOptions, FormattedController } from './format.js';
export type { ControllerRuntime } from './runtime/controller-runtime.js';
