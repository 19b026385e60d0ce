import type { DlqName } from "./keys.ts";

/**
 * Receives each action of the fake consumers just before they do it in Redis. `atMs` is the time by the system's
 * clock.
 */
export interface MuttObserver {
  /** The alerter stores an event. `event` is the text from the ingest queue. */
  stored?(event: Uint8Array): void;
  /** The forwarder's rate limit allows an alert, which is sent now. */
  admitted?(alert: Uint8Array, atMs: number): void;
  /** A forwarder discards an alert over the rate limit. */
  destroyed?(alert: Uint8Array, atMs: number): void;
  /** A consumer discards a message that it cannot use. */
  discarded?(message: Uint8Array): void;
  /** A consumer dead-letters a message. `message` is the text that it took; the DLQ's copy may have another mark. */
  deadLettered?(message: Uint8Array, dlq: DlqName): void;
}
