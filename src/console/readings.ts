/** What pages read, named. */
import type { ExplainOutput } from "../operations/explain.ts";
import type { SourceHistory as RecordedHistory } from "../operations/history.ts";
import type { JobsOutput } from "../operations/jobs.ts";
import type { JournalOutput } from "../operations/journal.ts";
import type { SettingsReport } from "../operations/settings.ts";
import { toOperationError } from "../operations/operation.ts";
import type { Status } from "../operations/status.ts";
import type { VerifyOutput } from "../operations/verify.ts";

/** A source's gates, activity and estimate, from `explain`. */
export type Explained = ExplainOutput["sources"][number];
/** A source's lists, role and oldest message, from `status`. */
export type SourceStatus = Status["sources"][number];
/** A job, from `jobs`. */
export type ShownJob = JobsOutput["jobs"][number];
/** An entry of the journal. */
export type JournalEntry = JournalOutput["entries"][number];

/** A source's depth, counts and closed gates over time, from `history`. */
export type Recorded = RecordedHistory;
/** A source's definition, brake and pace, from `settings`. */
export type SourceInForce = SettingsReport["sources"][number];
/** A setting, from `settings`. */
export type Setting = SettingsReport["settings"][number];
/** The result of checking a journal's chain, from `verify`. */
export type VerifiedJournal = VerifyOutput["journals"][number];

/** The last hours of a source, ready to be drawn. */
export interface SourceHistory {
  readonly target: string;
  readonly targetDepth: number | null;
  /** Messages that the gate `depth` counts, and where it closes; `null`: no limit. */
  readonly downstream: { readonly depth: number; readonly limit: number } | null;
  /** Messages a second over the last minutes; `null`: not known. */
  readonly arrivedPerSecond: number | null;
  readonly replayedPerSecond: number | null;
  /** Since when the DLQ has been empty; `null`: it is not, or not known. */
  readonly emptySince: string | null;
  readonly lastReplayAt: string | null;
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

/** The most frequent failures of a source's DLQ, counted for all who look. */
export interface CountedFailures {
  /** The largest first. */
  readonly groups: readonly FoundGroup[];
  /** Messages that were counted, and when the count began. */
  readonly matched: number;
  readonly countedAt: string;
  /** Whether the counts are estimated from a sample. */
  readonly isSampled: boolean;
}

/** What was read, or why it cannot be. */
export type Settled<Value> = Value | Error;

/** Waits for a reading. A part of a page that cannot be read must not take the others with it. Rejects only for a bug. */
export async function settle<Value>(reading: Promise<Value>): Promise<Settled<Value>> {
  try {
    return await reading;
  } catch (error) {
    const known = toOperationError(error);
    if (known === null) throw error;
    return known;
  }
}

/** Whether a reading failed. */
export function isError(value: unknown): value is Error {
  return value instanceof Error;
}
