/** What people are notified of: incidents, and the notices of them that receivers send. Pure. */
import type { IncidentKind, Severity } from "../config/notify.ts";

export { INCIDENT_KINDS, type IncidentKind, SEVERITIES, type Severity } from "../config/notify.ts";

/** Messages that an incident is about, by source. */
export interface IncidentGroup {
  readonly source: string;
  readonly count: number;
  /** One of them: its id, and its error or text with secrets hidden, as one short line; `null`: none could be read. */
  readonly sample: { readonly id: string; readonly text: string } | null;
}

/** Something that is wrong, or that has happened. */
export interface Incident {
  /** `i_` and 8 hexadecimal digits. */
  readonly id: string;
  readonly kind: IncidentKind;
  /** What distinguishes it from others of its kind, in snake_case: a reason, a gate, a job's id. */
  readonly cause: string;
  readonly severity: Severity;
  /** The sources that it has concerned so far, sorted; empty: none in particular. */
  readonly sources: readonly string[];
  /** In milliseconds since the epoch. */
  readonly beganMs: number;
  /** `null`: it goes on. A thing that has just happened ended when it began. */
  readonly endedMs: number | null;
  /** One sentence about the state now, for people. */
  readonly detail: string;
  readonly groups: readonly IncidentGroup[];
}

/** What a notice says of its incident. `happened`: it is over already, nothing more will be said. */
export type NoticeEvent = "began" | "updated" | "ended" | "happened" | "test";

/** One message to one receiver. */
export interface Notice {
  /** Unique for each notice of a receiver, and the same when a notice is sent again. Characters: `A-Za-z0-9_-`. */
  readonly id: string;
  readonly event: NoticeEvent;
  readonly incident: Incident;
  /** When it is sent, in milliseconds since the epoch. */
  readonly atMs: number;
  /** One line, at most 120 characters. */
  readonly title: string;
  /** A few lines of plain text. */
  readonly text: string;
  /** Address in the console; `null`: none is configured. */
  readonly url: string | null;
}
