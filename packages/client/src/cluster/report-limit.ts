/**
 * When a failure is final although it may pass. Of those that a person must look at (action `report`: a
 * corrupt log, for example) a few are waited out, in case another replica takes the lead; then whoever
 * asked is told, instead of being kept waiting for as long as they have time.
 */
import type { BarnabasError } from '@barnabas/protocol';

/** Failures to be reported, with nothing good between them, before the asker is told: about a second. */
const MAX_REPORTS = 5;

/** Counts for one partition that is read or asked about. */
export class ReportLimit {
  #reports = 0;

  /** Counts the failure; true when it is the last that is waited for. */
  isFinal(error: BarnabasError): boolean {
    if (!error.retriable) return true;
    return error.action === 'report' && ++this.#reports >= MAX_REPORTS;
  }

  /** Something good came. */
  reset(): void {
    this.#reports = 0;
  }
}
