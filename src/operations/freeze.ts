/** Operation `freeze`: holds everything that goes to the targets of one source or of all, for some time. */
import Type, { type Static } from "typebox";
import { describeFreeze, pauseLeftMs } from "../cycle/pause.ts";
import type { OperatorContext } from "./context.ts";
import { actOnSources, ALL_OR_ONE, OUTCOMES, type Outcomes } from "./every_source.ts";
import type { Operation } from "./operation.ts";
import { FOR_SECONDS, HOLD_SECONDS, REASON } from "./source_action.ts";

const INPUT = Type.Object({
  source: ALL_OR_ONE,
  forSeconds: FOR_SECONDS,
  reason: REASON,
}, { additionalProperties: false });

/** Input of the operation. Default: every source of the service. A freeze always ends by itself, by the server's clock. */
export type FreezeInput = Static<typeof INPUT>;

/**
 * Freezes sources, or replaces their freeze. All instances obey it: no message goes to the target after the reply, neither by automatic
 * replay nor by a job. A job's other moves go on: its sweep, burials, purges and imports.
 */
export const freeze = {
  name: "freeze",
  summary: "Hold all replay of one source or of all for some time, by jobs too",
  runsIn: "service",
  role: "operator",
  input: INPUT,
  output: OUTCOMES,
  http: { method: "POST", path: "/freeze" },
  run: (context: OperatorContext, input: FreezeInput): Promise<Outcomes> =>
    actOnSources(context, input, {
      ...{ operation: "freeze", done: "frozen" },
      act: async ({ parts: { control } }, by) => {
        const { forSeconds = HOLD_SECONDS, reason } = input, forMs = forSeconds * 1_000;
        const { record, nowMs } = await control.freeze({ forMs, by, reason });
        const until = describeFreeze({ untilMs: nowMs + forMs, by, reason: "" }, nowMs);
        const before = pauseLeftMs(record.freeze, nowMs) > 0
          ? `; before, it was ${describeFreeze(record.freeze!, nowMs)}`
          : "";
        return `${until}${before}`;
      },
    }),
} satisfies Operation<OperatorContext, FreezeInput, Outcomes>;
