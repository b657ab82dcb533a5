/** All planted bugs. */
import * as onDisk from './disk-plants.js';
import * as inLog from './log-plants.js';
import type { Plant } from './plant.js';

export const NO_PLANT: Plant = { name: 'none', says: 'nothing is planted', caughtBy: [] };

export const BROKER_PLANTS: readonly Plant[] = [...Object.values(onDisk), ...Object.values(inLog)];
