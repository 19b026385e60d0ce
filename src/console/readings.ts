/** What pages read, named. */
import type { ExplainOutput } from "../operations/explain.ts";
import type { JobsOutput } from "../operations/jobs.ts";
import type { JournalOutput } from "../operations/journal.ts";
import type { Status } from "../operations/status.ts";

/** A source's gates, activity and estimate, from `explain`. */
export type Explained = ExplainOutput["sources"][number];
/** A source's lists, role and oldest message, from `status`. */
export type SourceStatus = Status["sources"][number];
/** A job, from `jobs`. */
export type ShownJob = JobsOutput["jobs"][number];
/** An entry of the journal. */
export type JournalEntry = JournalOutput["entries"][number];

/** The last hours of a source, ready to be drawn. */
export interface SourceHistory {
  readonly target: string;
  readonly targetDepth: number | null;
  /** Where the gate `depth` closes; `null`: no limit. */
  readonly targetLimit: number | null;
  /** Messages a second over the last minutes. */
  readonly arrivedPerSecond: number;
  readonly replayedPerSecond: number;
  /** Depth of the DLQ, oldest first. */
  readonly depths: readonly number[];
}

/** Messages that failed alike. */
export interface FoundGroup {
  readonly source: string;
  readonly list: "dlq" | "dead" | "target";
  readonly group: string;
  readonly reason: string | null;
  readonly text: string;
  readonly count: number;
  readonly firstSeen: string | null;
  readonly lastSeen: string | null;
  readonly trend: readonly number[];
}
