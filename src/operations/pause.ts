/** Operation `pause`: holds automatic replay of a source for some time. */
import Type, { type Static } from "typebox";
import { describePause, pauseLeftMs } from "../cycle/pause.ts";
import type { OperatorContext } from "./context.ts";
import { SOURCE } from "./looked_source.ts";
import type { Operation } from "./operation.ts";
import { actOnSource, FOR_SECONDS, HOLD_SECONDS, OUTCOME, type Outcome, REASON } from "./source_action.ts";

const INPUT = Type.Object({
  source: SOURCE,
  forSeconds: FOR_SECONDS,
  reason: REASON,
}, { additionalProperties: false });

/** Input of the operation. A pause always ends by itself, by the server's clock. */
export type PauseInput = Static<typeof INPUT>;

/**
 * Pauses a source, or replaces its pause. All instances obey it: no chunk of automatic replay is committed after the reply. A job
 * that an operator confirmed goes on.
 */
export const pause = {
  name: "pause",
  summary: "Hold automatic replay of a source for some time",
  runsIn: "service",
  role: "operator",
  input: INPUT,
  output: OUTCOME,
  http: { method: "POST", path: "/sources/{source}/pause" },
  run: (context: OperatorContext, input: PauseInput): Promise<Outcome> =>
    actOnSource(context, input, {
      operation: "pause",
      act: async ({ parts: { control } }, by) => {
        const { forSeconds = HOLD_SECONDS, reason } = input, forMs = forSeconds * 1_000;
        const { record, nowMs } = await control.pause({ forMs, by, reason });
        const until = describePause({ untilMs: nowMs + forMs, by, reason: "" }, nowMs);
        const before = pauseLeftMs(record.pause, nowMs) > 0
          ? `; before, it was ${describePause(record.pause!, nowMs)}`
          : "";
        return `${until}${before}`;
      },
    }),
} satisfies Operation<OperatorContext, PauseInput, Outcome>;
