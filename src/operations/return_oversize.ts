/** Operation `return_oversize`: puts messages that were too large to read back into their DLQ. */
import Type, { type Static } from "typebox";
import type { OperatorContext } from "./context.ts";
import { SOURCE } from "./looked_source.ts";
import type { Operation } from "./operation.ts";
import { actOnSource, OUTCOME, type Outcome, REASON } from "./source_action.ts";

/** Most messages of one call; a script moves them. */
const MOST = 100;

const INPUT = Type.Object({
  source: SOURCE,
  count: Type.Optional(Type.Integer({ minimum: 1, maximum: MOST, default: 1, description: "Most messages" })),
  reason: REASON,
}, { additionalProperties: false });
/** Input of the operation. */
export type ReturnOversizeInput = Static<typeof INPUT>;

/** Moves the oldest oversize messages to the newest end of the DLQ. One that is still too large goes back at the next cycle. */
export const returnOversize = {
  name: "return_oversize",
  summary: "Put messages that were too large to read back into the DLQ, the oldest first",
  runsIn: "service",
  role: "operator",
  input: INPUT,
  output: OUTCOME,
  http: { method: "POST", path: "/sources/{source}/oversize/return" },
  run: (context: OperatorContext, input: ReturnOversizeInput): Promise<Outcome> =>
    actOnSource(context, input, {
      operation: "return_oversize",
      act: async ({ parts: { control } }) => {
        const { moved, left } = await control.returnOversize(input.count ?? 1);
        const { maxMessageBytes } = context.live.current();
        return `${moved} put back, ${left} left; messages over ${maxMessageBytes} bytes will be taken out again ` +
          "(REMEDIATION_MAX_MESSAGE_BYTES)";
      },
    }),
} satisfies Operation<OperatorContext, ReturnOversizeInput, Outcome>;
