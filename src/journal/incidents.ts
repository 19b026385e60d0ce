/** Writes incidents to their journal: one entry when an incident begins, one when it ends, and updates between. */
import { describeDuration } from "../lifecycle/outage_log.ts";
import type { Clock } from "../runtime/clock.ts";
import { createId } from "../runtime/random.ts";
import type { NewEntry } from "./entries.ts";

/** What is wrong. */
export interface IncidentFacts {
  /** The source that it concerns; `null`: all. */
  readonly source: string | null;
  /** One word out of a closed set of the caller. */
  readonly reason: string;
  /** One sentence. */
  readonly detail: string;
}

/** An incident that has begun. */
export interface Incident {
  /** The id that all of its entries share. */
  readonly id: string;
  /** Records a change. Does nothing after the end. */
  update(detail: string): void;
  /** Records the end and how long it took. Safe to call twice. */
  end(detail: string): void;
}

/** Begins an incident. `note` is the journal's. */
export function beginIncident(
  { source, reason, detail }: IncidentFacts,
  { note, clock }: { note: (entry: NewEntry) => void; clock: Clock },
): Incident {
  const incident = `i_${createId().slice(0, 8)}`, beganMs = clock.monotonicMs();
  let hasEnded = false;
  const write = (event: "began" | "updated" | "ended", detail: string) =>
    note({ kind: "incident", ...{ incident, event, source, reason, detail } });
  write("began", detail);
  return {
    id: incident,
    update: (detail) => hasEnded || write("updated", detail),
    end: (detail) => {
      if (!hasEnded) write("ended", `${detail} (after ${describeDuration(clock.monotonicMs() - beganMs)})`);
      hasEnded = true;
    },
  };
}
