/** What the notifier sees of the service at one instant. Pure. */

/** A gate that holds a source. */
export interface ObservedGate {
  readonly name: string;
  readonly reason: string;
  /** The observation; empty if it is that of the sample before. */
  readonly detail: string;
}

/** A sample of a source's history. */
export interface ObservedSample {
  /** By the server's clock, in milliseconds. */
  readonly atMs: number;
  readonly depth: number;
  /** Messages that left the DLQ since the sample before. */
  readonly moved: number;
  /** Gates that hold it. One that opens and closes as messages move is left out while they move. */
  readonly heldBy: readonly ObservedGate[];
}

/** A source. */
export interface ObservedSource {
  readonly name: string;
  /** Samples since the last observation, oldest first. */
  readonly samples: readonly ObservedSample[];
  /** Age of the oldest message in the DLQ, in milliseconds; `null`: the DLQ is empty, or the age is not known. */
  readonly oldestAgeMs: number | null;
}

/** A commit that moved messages to the dead list. */
export interface ObservedDeaths {
  readonly what: "deaths";
  readonly source: string;
  readonly atMs: number;
  /** Messages, by reason. */
  readonly dead: Readonly<Record<string, number>>;
}

/** A job that has ended. */
export interface ObservedJob {
  readonly what: "job";
  readonly source: string;
  readonly atMs: number;
  readonly job: string;
  readonly hasFailed: boolean;
  /** One sentence. */
  readonly detail: string;
}

/** A configuration that was taken or rejected. */
export interface ObservedConfig {
  readonly what: "config";
  /** Where it comes from, such as `sources_file`. */
  readonly origin: string;
  /** Name of the instance that took or rejected it. */
  readonly instance: string;
  readonly atMs: number;
  readonly isRejected: boolean;
  readonly detail: string;
}

/** Something that the journals say. */
export type ObservedEntry = ObservedDeaths | ObservedJob | ObservedConfig;

/** Everything that was seen since the last observation. */
export interface Observation {
  /** The server's clock. */
  readonly nowMs: number;
  /** Since when this process has observed without a gap, by the server's clock. */
  readonly watchingSinceMs: number;
  readonly sources: readonly ObservedSource[];
  /** In the order of the journals. */
  readonly entries: readonly ObservedEntry[];
  /** Names of the instances that run; `null`: not known. */
  readonly instances: readonly string[] | null;
}
