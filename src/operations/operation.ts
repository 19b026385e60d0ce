/** What an operation is: an action that a person can take, in the same words for every way of taking it. */

/** A JSON Schema (2020-12). */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** Who may run an operation; each may do all that those before it may. */
export const OPERATION_ROLES = ["viewer", "operator", "admin"] as const;
/** One of {@link OPERATION_ROLES}. */
export type OperationRole = (typeof OPERATION_ROLES)[number];

/** An action and its result as plain data. Commands and ports only render it. */
export interface Operation<Context, Input, Output> {
  /** Lower case, words joined by `_`. */
  readonly name: string;
  /** One line for people. */
  readonly summary: string;
  /** `service`: the running service does it to itself. `command`: it runs in a process of its own. */
  readonly runsIn: "service" | "command";
  readonly role: OperationRole;
  readonly input: JsonSchema;
  readonly output: JsonSchema;
  /** Rejects only for a bug: what Redis, Moogsoft or Vault do is part of the output. */
  run(context: Context, input: Input): Output | Promise<Output>;
}
