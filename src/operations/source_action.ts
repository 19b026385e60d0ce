/** What the operations on one running source share: they find the source, act, and leave a trace. */
import Type, { type Static } from "typebox";
import { MAX_OPERATOR_NAME, MAX_PAUSE_MS, MAX_REASON, toLine } from "../cycle/pause.ts";
import { recordDone } from "./audit.ts";
import type { OperatorContext, RunningSource } from "./context.ts";
import { findRunning } from "./looked_source.ts";

/** An operator's reason. */
export const REASON = Type.String({
  // No control, invisible or half characters, and not only blanks.
  pattern: `^(?=.*\\S)[^\\p{Cc}\\p{Cf}\\p{Cs}\\p{Zl}\\p{Zp}]{1,${MAX_REASON}}$`,
  description: `One line of 1 to ${MAX_REASON} characters, not all blank, without control characters`,
});

/** Default length of a pause or freeze, in seconds. */
export const HOLD_SECONDS = 3_600;
/** How long a pause or freeze lasts. */
export const FOR_SECONDS = Type.Optional(Type.Integer({
  ...{ minimum: 1, maximum: MAX_PAUSE_MS / 1_000, default: HOLD_SECONDS },
  description: `How long it lasts, in seconds; default: ${HOLD_SECONDS}`,
}));

/** The output of an operation on a source. */
export const OUTCOME = Type.Object({
  source: Type.String(),
  result: Type.String({ description: "What was done, in one sentence" }),
}, { additionalProperties: false });
/** The output of an operation on a source. */
export type Outcome = Static<typeof OUTCOME>;

/**
 * Acts on a source, logs and records what was done, and wakes the source's loop. `act` returns what it did in one sentence.
 * @throws OperationError `not_found`, or `unrecorded` if it was done but could not be recorded
 */
export async function actOnSource<Input extends { readonly source: string; readonly reason?: string }>(
  context: OperatorContext,
  { source: name, reason = "" }: Input,
  { operation, act }: {
    readonly operation: string;
    readonly act: (source: RunningSource, by: string) => Promise<string>;
  },
): Promise<Outcome> {
  const source = findRunning(context.sources(), name), by = toLine(context.actor.name, MAX_OPERATOR_NAME);
  const result = await act(source, by);
  source.loop.wake();
  const why = reason === "" ? "" : ` (${reason})`;
  context.log.info(operation, `Remediation: ${by}: ${name}: ${result}${why}`, {
    ...{ source: name, actor: by, correlation_id: context.correlationId },
  });
  await recordDone(context, { operation, source: name, result, input: reason === "" ? {} : { reason } });
  return { source: name, result };
}
