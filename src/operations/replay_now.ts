/** Operation `replay_now`: begins a cycle of a source at once, through the same gates as any other. */
import Type, { type Static } from "typebox";
import { isUnderTest } from "../cycle/cycle_state.ts";
import { hasTrait, isStandby } from "../gates/gate.ts";
import type { OperatorContext } from "./context.ts";
import { gateWords } from "./gate_words.ts";
import { SOURCE } from "./looked_source.ts";
import type { Operation } from "./operation.ts";
import { actOnSource, OUTCOME, type Outcome } from "./source_action.ts";

const INPUT = Type.Object({ source: SOURCE }, { additionalProperties: false });

/** Input of the operation. */
export type ReplayNowInput = Static<typeof INPUT>;

/** Lets the next cycle begin without waiting for the interval. The leader sees it within 5 s. Safe to call twice. */
export const replayNow = {
  name: "replay_now",
  summary: "Begin a cycle of a source now",
  runsIn: "service",
  role: "operator",
  input: INPUT,
  output: OUTCOME,
  http: { method: "POST", path: "/sources/{source}/replay" },
  run: (context: OperatorContext, input: ReplayNowInput): Promise<Outcome> =>
    actOnSource(context, input, {
      operation: "replay_now",
      act: async ({ parts: { control, board } }) => {
        const { record } = await control.requestCycle();
        const closed = board.last().closed.find((gate) => hasTrait(gate.name, "blocksStart") && !isStandby(gate));
        if (closed) return `a cycle begins when the gate ${closed.name} opens: ${gateWords(closed)}`;
        return isUnderTest(record)
          ? "a cycle begins when the messages that were replayed as a test have been judged"
          : "a cycle begins within 5 s";
      },
    }),
} satisfies Operation<OperatorContext, ReplayNowInput, Outcome>;
