/** An operation: one user action with one definition for every interface (command line, HTTP). */
import type { TSchema } from "typebox";

/** A JSON Schema (2020-12), written by hand or with TypeBox. */
export type JsonSchema = Readonly<Record<string, unknown>> | TSchema;

/** Who may run an operation. Each role includes the previous ones. */
export const OPERATION_ROLES = ["viewer", "operator", "admin"] as const;
/** One of {@link OPERATION_ROLES}. */
export type OperationRole = (typeof OPERATION_ROLES)[number];

/** An action with plain data as input and output. Commands and ports only render it. */
export interface Operation<Context, Input, Output> {
  /** In snake_case. */
  readonly name: string;
  /** One-line description. */
  readonly summary: string;
  /** `service`: runs in the service. `command`: runs in its own process. */
  readonly runsIn: "service" | "command";
  readonly role: OperationRole;
  readonly input: JsonSchema;
  readonly output: JsonSchema;
  /** Rejects only for a bug: failures of Redis, Moogsoft or Vault are part of the output. */
  run(context: Context, input: Input): Output | Promise<Output>;
}
