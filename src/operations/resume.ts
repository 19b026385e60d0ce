/** Operation `resume`: ends the pause of a source. */
import Type, { type Static } from "typebox";
import { describePause, pauseLeftMs } from "../cycle/pause.ts";
import type { OperatorContext } from "./context.ts";
import { SOURCE } from "./looked_source.ts";
import type { Operation } from "./operation.ts";
import { actOnSource, OUTCOME, type Outcome } from "./source_action.ts";

const INPUT = Type.Object({ source: SOURCE }, { additionalProperties: false });

/** Input of the operation. */
export type ResumeInput = Static<typeof INPUT>;

/** Ends the pause of a source. Safe to call when there is none. */
export const resume = {
  name: "resume",
  summary: "End the pause of a source",
  runsIn: "service",
  role: "operator",
  input: INPUT,
  output: OUTCOME,
  http: { method: "POST", path: "/sources/{source}/resume" },
  run: (context: OperatorContext, input: ResumeInput): Promise<Outcome> =>
    actOnSource(context, input, {
      operation: "resume",
      act: async ({ parts: { control } }) => {
        const { record: { pause }, nowMs } = await control.resume();
        return pause && pauseLeftMs(pause, nowMs) > 0
          ? `was ${describePause(pause, nowMs)}; resumed`
          : "was not paused";
      },
    }),
} satisfies Operation<OperatorContext, ResumeInput, Outcome>;
