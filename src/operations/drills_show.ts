/** Operation `drills_show`: one drill, and its report if it has ended. Changes nothing. */
import Type, { type Static } from "typebox";
import type { OperatorContext, RunningSource } from "./context.ts";
import { findSource } from "./looked_source.ts";
import { type Operation, OperationError } from "./operation.ts";
import { DRILL_MEMBERS, DRILL_OUTPUT, type DrillOutput, readDrills, type ShownDrill } from "./shown_drill.ts";

const INPUT = Type.Object(DRILL_MEMBERS, { additionalProperties: false });

/** Input of the operation. */
export type DrillsShowInput = Static<typeof INPUT>;

/** Shows a drill. */
export const drillsShow = {
  name: "drills_show",
  summary: "One drill: how far it is, and its report when it has ended",
  runsIn: "service",
  role: "viewer",
  input: INPUT,
  output: DRILL_OUTPUT,
  http: { method: "GET", path: "/sources/{source}/drills/{id}" },
  run: async (context: OperatorContext, input: DrillsShowInput): Promise<DrillOutput> => ({
    drill: await findDrill(findSource<RunningSource["parts"]>(context, input.source), input.id),
  }),
} satisfies Operation<OperatorContext, DrillsShowInput, DrillOutput>;

/** Finds a drill of the source. @throws OperationError `not_found` */
export async function findDrill(source: RunningSource["parts"], id: string): Promise<ShownDrill> {
  const found = (await readDrills(source)).find((one) => one.id === id);
  if (found) return found;
  const { name } = source.setup.policy;
  throw new OperationError("not_found", `drill ${id} of source ${name} is not there: it has expired, or never was`, [
    { field: "id", value: id, wanted: "a drill of the source: its report is kept for 7 days, of the last 10 drills" },
  ]);
}
