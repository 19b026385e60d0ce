/** What the operations on one source or on all share: a source that fails does not keep the others from being done. */
import Type, { type Static } from "typebox";
import type { OperatorContext, RunningSource } from "./context.ts";
import { findRunning } from "./looked_source.ts";
import { OperationError, toOperationError } from "./operation.ts";
import { actOnSource, OUTCOME, type Outcome } from "./source_action.ts";

/** Schema of the source in an input. */
export const ALL_OR_ONE = Type.Optional(
  Type.String({ minLength: 1, maxLength: 32, description: "Name of the source; default: every source" }),
);

/** The output of an operation on sources. */
export const OUTCOMES = Type.Object({ sources: Type.Array(OUTCOME) }, { additionalProperties: false });
/** The output of an operation on sources. */
export type Outcomes = Static<typeof OUTCOMES>;

/** A source that could not be done. */
interface Failed {
  readonly source: string;
  readonly error: OperationError;
}

/**
 * Acts on the named source, or on every source at once. Each is logged and recorded on its own. `done`: what they are afterwards, in a
 * word. @throws OperationError `not_found`; or, after the others were done, the failure of a source, which names all sources
 */
export async function actOnSources(
  context: OperatorContext,
  { source, reason }: { readonly source?: string; readonly reason?: string },
  { operation, done, act }: {
    readonly operation: string;
    readonly done: string;
    readonly act: (source: RunningSource, by: string) => Promise<string>;
  },
): Promise<Outcomes> {
  const all = context.sources(), chosen = source === undefined ? all : [findRunning(all, source)];
  const tried = await Promise.all(chosen.map(({ parts }) => {
    const name = parts.setup.policy.name, input = { source: name, ...(reason === undefined ? {} : { reason }) };
    return actOnSource(context, input, { operation, act }).catch((error): Failed => ({
      ...{ source: name, error: toFailure(error) },
    }));
  }));
  const failed = tried.filter((one) => "error" in one), outcomes = tried.filter((one) => "result" in one);
  if (failed.length > 0) throw describeFailure(failed, { outcomes, done });
  return { sources: outcomes };
}

/** @throws a bug */
function toFailure(error: unknown): OperationError {
  const failure = toOperationError(error);
  if (failure === null) throw error;
  return failure;
}

function describeFailure(
  failed: readonly Failed[],
  { outcomes, done }: { outcomes: readonly Outcome[]; done: string },
): OperationError {
  const isUndone = ({ error }: Failed) => error.code !== "unrecorded";
  const texts = failed.map(({ source, error }) =>
    `${source}${isUndone({ source, error }) ? ` is not ${done}` : ""}: ${error.message}`
  );
  const others = outcomes.length === 0 ? "" : `; ${done}: ${outcomes.map(({ source }) => source).join(", ")}`;
  return new OperationError((failed.find(isUndone) ?? failed[0]!).error.code, `${texts.join("; ")}${others}`);
}
