/** What a drill asks about notifications. */

/** How many notices one receiver was sent. */
export interface SentNotices {
  readonly receiver: string;
  readonly sent: number;
}

/** The notifications of the service. */
export interface DrillNotices {
  /** Returns how many notices each receiver was ever sent, by any instance; `null`: no receiver is configured. */
  sent(): Promise<readonly SentNotices[] | null>;
  /** Returns when the first incident about this gate of the source began since an instant, both by the server's clock; `null`: none. */
  gateIncidentSince(of: { readonly source: string; readonly gate: string }, sinceMs: number): Promise<number | null>;
}

/** Returns the notices since an earlier count. A receiver that was not known then has sent all of its own since. */
export function noticesSince(before: readonly SentNotices[], now: readonly SentNotices[]): readonly SentNotices[] {
  const known = new Map(before.map(({ receiver, sent }) => [receiver, sent]));
  return now.map(({ receiver, sent }) => ({ receiver, sent: Math.max(0, sent - (known.get(receiver) ?? 0)) }));
}

/** Formats a count for the drill's hash. */
export function formatNotices(notices: readonly SentNotices[] | null): string {
  return JSON.stringify(notices);
}

/** Parses it; what is none counts as no notices. */
export function parseNotices(text: string): readonly SentNotices[] {
  try {
    const found: unknown = JSON.parse(text);
    return Array.isArray(found) ? found.filter(isSent) : [];
  } catch {
    return [];
  }
}

function isSent(value: unknown): value is SentNotices {
  const { receiver, sent } = (value ?? {}) as Partial<SentNotices>;
  return typeof receiver === "string" && Number.isSafeInteger(sent);
}
