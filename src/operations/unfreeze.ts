/** Operation `unfreeze`: ends the freeze of one source or of all. */
import Type, { type Static } from "typebox";
import { describeFreeze, pauseLeftMs } from "../cycle/pause.ts";
import type { OperatorContext } from "./context.ts";
import { actOnSources, ALL_OR_ONE, OUTCOMES, type Outcomes } from "./every_source.ts";
import type { Operation } from "./operation.ts";

const INPUT = Type.Object({ source: ALL_OR_ONE }, { additionalProperties: false });

/** Input of the operation. Default: every source of the service. */
export type UnfreezeInput = Static<typeof INPUT>;

/** Ends a freeze. Safe to call when there is none. A pause or a window may still hold the source. */
export const unfreeze = {
  name: "unfreeze",
  summary: "End the freeze of one source or of all",
  runsIn: "service",
  role: "operator",
  input: INPUT,
  output: OUTCOMES,
  http: { method: "POST", path: "/unfreeze" },
  run: (context: OperatorContext, input: UnfreezeInput): Promise<Outcomes> =>
    actOnSources(context, input, {
      ...{ operation: "unfreeze", done: "unfrozen" },
      act: async ({ parts: { control } }) => {
        const { record: { freeze }, nowMs } = await control.unfreeze();
        return freeze && pauseLeftMs(freeze, nowMs) > 0
          ? `was ${describeFreeze(freeze, nowMs)}; unfrozen`
          : "was not frozen";
      },
    }),
} satisfies Operation<OperatorContext, UnfreezeInput, Outcomes>;
