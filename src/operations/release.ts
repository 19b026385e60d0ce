/** Operation `release`: releases the brake of a source, because an operator knows that the consumer works again. */
import Type, { type Static } from "typebox";
import { BRAKE_REASON_TEXTS } from "../cycle/brake.ts";
import type { CycleState } from "../cycle/cycle_state.ts";
import { stateOf } from "../cycle/plan_cycle.ts";
import type { OperatorContext } from "./context.ts";
import { SOURCE } from "./looked_source.ts";
import type { Operation } from "./operation.ts";
import { actOnSource, OUTCOME, type Outcome, REASON } from "./source_action.ts";

const INPUT = Type.Object({ source: SOURCE, reason: REASON }, { additionalProperties: false });

/** Input of the operation. */
export type ReleaseInput = Static<typeof INPUT>;

/**
 * Releases the brake, and lets a cycle begin at once. Messages that came back before do not tighten it again; those that come back
 * later do. Safe to call twice.
 */
export const release = {
  name: "release",
  summary: "Release the brake of a source: its consumer works again",
  runsIn: "service",
  role: "operator",
  input: INPUT,
  output: OUTCOME,
  http: { method: "POST", path: "/sources/{source}/release" },
  run: (context: OperatorContext, input: ReleaseInput): Promise<Outcome> =>
    actOnSource(context, input, {
      operation: "release",
      act: async ({ parts: { control } }) => describeRelease((await control.release()).record),
    }),
} satisfies Operation<OperatorContext, ReleaseInput, Outcome>;

function describeRelease(record: CycleState): string {
  const state = stateOf(record), { reason } = record.brake;
  if (state === "healthy") return "was healthy; nothing to release";
  const last = record.tallies.findLast(({ isTroubled }) => isTroubled);
  const why = reason === "returns" && last
    ? `${last.returned} of ${last.replayed} came back`
    : BRAKE_REASON_TEXTS[reason];
  return `was ${state}: ${why}; now healthy`;
}
