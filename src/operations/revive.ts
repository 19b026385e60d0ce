/** Operation `revive`: plan to replay chosen messages of the dead list as new ones: without stamps and failure counts. */
import Type, { type Static } from "typebox";
import type { OperatorContext } from "./context.ts";
import { JOB_INPUT, OVERRIDES, PLANNED, type Planned, planSelected } from "./job_plan.ts";
import type { Operation } from "./operation.ts";

const INPUT = Type.Object({ ...JOB_INPUT, overrides: OVERRIDES }, { additionalProperties: false });

/** Input of the operation. */
export type ReviveInput = Static<typeof INPUT>;

/** Plans a job that moves chosen messages of the dead list to the target, as they were before the service knew them. Nothing moves before it is confirmed. */
export const revive = {
  name: "revive",
  summary: "Plan to replay chosen messages of the dead list as new ones: without stamps and failure counts",
  runsIn: "service",
  role: "operator",
  input: INPUT,
  output: PLANNED,
  http: { method: "POST", path: "/sources/{source}/revive", status: 201 },
  run: (context: OperatorContext, input: ReviveInput): Promise<Planned> =>
    planSelected(context, input, { verb: "revive", list: "dead" }),
} satisfies Operation<OperatorContext, ReviveInput, Planned>;
