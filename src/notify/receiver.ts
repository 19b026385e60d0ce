/** What a receiver of notices is, and how sending one fails. */
import type { ReceiverType } from "../config/notify.ts";
import type { Notice } from "./notice.ts";

/** Sends notices to one place. */
export interface Receiver {
  readonly name: string;
  readonly type: ReceiverType;
  /**
   * How often the latest notice of an open incident must be sent again, in milliseconds, because the receiver forgets it otherwise;
   * `null`: once is enough.
   */
  readonly repeatMs: number | null;
  /**
   * Sends one notice. Settles within {@link SEND_TIMEOUT_MS}. A notice may be sent again: most receivers recognize its id.
   * @throws {ReceiverError} if it was not taken
   */
  send(notice: Notice, signal: AbortSignal): Promise<void>;
  /** Ends what is being sent. Nothing can be sent afterwards. Safe to call twice. */
  close(): void;
}

/** Maximum time of sending a notice, in milliseconds. */
export const SEND_TIMEOUT_MS = 15_000;

/** Why a notice was not taken, and whether it can be by trying again. Closed set: metrics use these names. */
export const RECEIVER_FAILURES = {
  /** The receiver does not take this notice: a status 4xx, an SMTP reply 5xx. */
  refused: { retryable: false },
  /** Wrong key, user or password. Another try could lock the account. */
  unauthorized: { retryable: false },
  /** The address is no longer there (404, 410). */
  gone: { retryable: false },
  /** It answers with another address; redirects are not followed, because they would get the secret. */
  redirected: { retryable: false },
  /** The notice is too large for it. */
  too_large: { retryable: false },
  /** Too many notices; it may say when to try again. */
  rate_limited: { retryable: true },
  /** It has a problem of its own: a status 5xx, an SMTP reply 4xx, such as greylisting. */
  unavailable: { retryable: true },
  timeout: { retryable: true },
  /** No connection, or it broke. */
  unreachable: { retryable: true },
  /** No TLS, or a certificate that is not trusted. */
  tls: { retryable: true },
  /** The proxy does not connect us. */
  proxy: { retryable: true },
  /** It said that all is well, but not as such a receiver does. A portal or a proxy may have answered in its place. */
  lied: { retryable: true },
  /** The file with its secret has never been usable. */
  secret_file: { retryable: true },
  /** The service stops, or the receiver was closed. */
  aborted: { retryable: true },
} as const satisfies Readonly<Record<string, { readonly retryable: boolean }>>;
/** One of {@link RECEIVER_FAILURES}. */
export type ReceiverFailure = keyof typeof RECEIVER_FAILURES;

/** A notice was not taken. Its message is for people, and holds no secret and no text of the receiver. */
export class ReceiverError extends Error {
  override readonly name = "ReceiverError";
  readonly code: ReceiverFailure;
  readonly retryable: boolean;
  /** When the receiver wants to be tried again, in milliseconds from now; `null`: it did not say. */
  readonly retryAfterMs: number | null;

  constructor(code: ReceiverFailure, message: string, { retryAfterMs = null }: { retryAfterMs?: number | null } = {}) {
    super(message);
    this.code = code;
    this.retryable = RECEIVER_FAILURES[code].retryable;
    this.retryAfterMs = retryAfterMs;
  }
}
