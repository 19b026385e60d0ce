/** Operation `bury`: plan to move chosen messages of the DLQ to the dead list. */
import Type, { type Static } from "typebox";
import type { OperatorContext } from "./context.ts";
import { JOB_INPUT, PLANNED, type Planned, planSelected } from "./job_plan.ts";
import type { Operation } from "./operation.ts";

const INPUT = Type.Object({ ...JOB_INPUT }, { additionalProperties: false });

/** Input of the operation. */
export type BuryInput = Static<typeof INPUT>;

/** Plans a job that moves chosen messages of the DLQ to the dead list, with reason `buried`. Nothing moves before it is confirmed. */
export const bury = {
  name: "bury",
  summary: "Plan to move chosen messages of the DLQ to the dead list",
  runsIn: "service",
  role: "operator",
  input: INPUT,
  output: PLANNED,
  http: { method: "POST", path: "/sources/{source}/bury", status: 201 },
  run: (context: OperatorContext, input: BuryInput): Promise<Planned> =>
    planSelected(context, input, { verb: "bury", list: "dlq" }),
} satisfies Operation<OperatorContext, BuryInput, Planned>;
