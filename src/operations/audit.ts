/** Builds the audit entry of an operation that changes data. Pure. */
import type { EntryOf, NewEntry } from "../journal/entries.ts";
import type { Actor } from "./context.ts";

/** What the journal says of one run. */
export type OperationFacts =
  & Pick<EntryOf<"operation">, "operation" | "result">
  & Partial<Pick<EntryOf<"operation">, "source" | "input" | "correlationId" | "job" | "messages">>;

/** Describes a run by this actor, for `journal.record`. `input` is a summary without message contents. */
export function operationEntry({ name, role }: Actor, facts: OperationFacts): NewEntry {
  return {
    ...{ kind: "operation", actor: name, role, source: null, input: {}, correlationId: null, job: null, messages: [] },
    ...facts,
  };
}
