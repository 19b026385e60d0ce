import type { DlqName } from "./keys.ts";

/**
 * Told what the stand-ins for MUTT's consumers do with each message, just before they do it in Redis. `atMs` is the time by the
 * system's clock.
 */
export interface MuttObserver {
  /** The alerter stored an event. `event` is as it came out of the ingest queue. */
  stored?(event: Uint8Array): void;
  /** The forwarder's rate limit let an alert through; it is sent now. */
  admitted?(alert: Uint8Array, atMs: number): void;
  /** A forwarder threw an alert away, because it is over the rate limit. */
  destroyed?(alert: Uint8Array, atMs: number): void;
  /** A consumer threw a message away, because it cannot use it. */
  discarded?(message: Uint8Array): void;
  /** `message` is as the consumer took it; in the dead-letter queue it may carry another mark. */
  deadLettered?(message: Uint8Array, dlq: DlqName): void;
}
