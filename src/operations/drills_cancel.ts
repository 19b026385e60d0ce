/** Operation `drills_cancel`: ends a running drill. */
import Type, { type Static } from "typebox";
import { recordDone } from "./audit.ts";
import type { OperatorContext } from "./context.ts";
import { findDrill } from "./drills_show.ts";
import { findRunning } from "./looked_source.ts";
import { type Operation, OperationError } from "./operation.ts";
import { DRILL_MEMBERS, DRILL_OUTPUT, type DrillOutput } from "./shown_drill.ts";

const INPUT = Type.Object(DRILL_MEMBERS, { additionalProperties: false });

/** Input of the operation. */
export type DrillsCancelInput = Static<typeof INPUT>;

/** Frees the gate at once. No message of the drill can reach the target after the reply; what is left of them is cleaned up. */
export const drillsCancel = {
  name: "drills_cancel",
  summary: "End a running drill: its gate is free at once, and its messages are cleaned up",
  runsIn: "service",
  role: "operator",
  input: INPUT,
  output: DRILL_OUTPUT,
  http: { method: "POST", path: "/sources/{source}/drills/{id}/cancel" },
  run: cancel,
} satisfies Operation<OperatorContext, DrillsCancelInput, DrillOutput>;

async function cancel(context: OperatorContext, { source: name, id }: DrillsCancelInput): Promise<DrillOutput> {
  const { parts, loop } = findRunning(context.sources(), name), found = await findDrill(parts, id);
  const { nowMs } = await parts.replay.look();
  const result = await parts.drills.advance({
    ...{ id, from: ["holding", "healing"], to: "cleaning", byAnyone: true },
    fields: { outcome: "cancelled", decidedAtMs: Math.round(nowMs) },
  });
  if (result !== "ok") {
    const { status } = await findDrill(parts, found.id);
    throw new OperationError("conflict", `drill ${id} has ended: ${status}`);
  }
  loop.wake();
  await recordDone(context, {
    ...{ operation: drillsCancel.name, source: name, result: `drill ${id} cancelled` },
    input: { drill: id },
  });
  return { drill: await findDrill(parts, id) };
}
