/** The audit entries of operations that change data. */
import type { EntryOf, NewEntry } from "../journal/entries.ts";
import { StoreError } from "../redis/errors.ts";
import type { Actor, OperatorContext } from "./context.ts";
import { describeStoreError, OperationError } from "./operation.ts";

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

/** Records what was done. @throws OperationError `unrecorded`, if Redis may not have kept the entry */
export async function recordDone(
  { actor, journal, correlationId }: Pick<OperatorContext, "actor" | "journal" | "correlationId">,
  facts: Omit<OperationFacts, "correlationId">,
): Promise<void> {
  try {
    await journal.record(operationEntry(actor, { ...facts, correlationId }));
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    const detail = `done (${facts.result}), but perhaps not in the journal: ${describeStoreError(error)}`;
    throw new OperationError("unrecorded", detail);
  }
}
