/** What can be done with messages, in the words of the console. Pure. */
import type { Role } from "../config/api_keys.ts";
import type { ListName } from "../message/source_policy.ts";
import type { ShownJob } from "./readings.ts";

/** A verb on selected messages: the name of its operation. */
export type Verb = "redrive" | "bury" | "revive" | "purge";

/** How a verb is offered. */
export interface VerbWords {
  readonly verb: Verb;
  readonly name: string;
  readonly role: Role;
  readonly lists: readonly ListName[];
  /** What it does, and whether that can be undone. */
  readonly does: string;
  readonly reason: string;
  readonly kind: "" | "go" | "danger";
}

/** The verbs, in the order of their buttons. */
export const VERBS: readonly VerbWords[] = [
  {
    ...{ verb: "redrive", name: "Replay", role: "operator", lists: ["dlq"], kind: "go" },
    does: "They go to the target in their order, through the gates and at the pace of the source. " +
      "This cannot be undone: the consumer gets them.",
    reason: "downstream works again, change 4711",
  },
  {
    ...{ verb: "bury", name: "Dead-letter", role: "operator", lists: ["dlq"], kind: "" },
    does: "They move to the dead list and are not replayed any more. This can be undone for 7 days.",
    reason: "test traffic, not needed",
  },
  {
    ...{ verb: "revive", name: "Revive", role: "operator", lists: ["dead"], kind: "go" },
    does:
      "They go to the target as new messages, without stamps and failure counts, through the gates and at the pace " +
      "of the source. This cannot be undone: the consumer gets them.",
    reason: "the parser is fixed, release 2.4",
  },
  {
    ...{ verb: "purge", name: "Purge", role: "admin", lists: ["dlq", "dead"], kind: "danger" },
    does: "They are removed. For 7 days they can be brought back; after that they are gone for good.",
    reason: "duplicates of incident 4711",
  },
];

/** Name of what a job does. */
export const JOB_NAMES: Readonly<Record<ShownJob["verb"], string>> = {
  ...{ redrive: "Replay", bury: "Dead-letter", revive: "Revive", purge: "Purge" },
  ...{ edit: "Edit", import: "Import", undo: "Undo" },
};
