/** Checks what an operator has given to an operation that changes data, and may do. */
import type { TSchema } from "typebox";
import Value from "typebox/value";
import { quote } from "../config/redact.ts";
import type { Actor } from "./context.ts";
import { type InputProblem, OPERATION_ROLES, OperationError, type OperationRole } from "./operation.ts";

/** The schema of an input; the description of each member says what is wanted. */
export interface InputSchema {
  readonly properties: Readonly<Record<string, TSchema>>;
  readonly required?: readonly string[] | undefined;
}

/** @throws OperationError `invalid` with every member that is unknown, missing or wrong, and with `more` */
export function checkInput(
  { properties, required = [] }: InputSchema,
  input: Readonly<Record<string, unknown>>,
  more: readonly InputProblem[] = [],
): void {
  const unknown = Object.keys(input).filter((field) => !Object.hasOwn(properties, field));
  const wrong = Object.entries(properties).filter(([field, schema]) =>
    input[field] === undefined ? required.includes(field) : !Value.Check(schema, input[field])
  );
  const problems = [
    ...unknown.map((field) => ({ field, value: null, wanted: `one of ${Object.keys(properties).join(", ")}` })),
    ...wrong.map(([field, { description }]: [string, TSchema & { description?: string }]) => ({
      ...{ field, value: shown(input[field]), wanted: description ?? "another value" },
    })),
    ...more,
  ];
  if (problems.length === 0) return;
  throw new OperationError("invalid", problems.map(describe).join("; "), problems);
}

/** @throws OperationError `forbidden` if the actor's role does not include `role`. `what`: completes "needs role" */
export function requireRole({ name, role: own }: Actor, role: OperationRole, what: string): void {
  if (OPERATION_ROLES.indexOf(own) >= OPERATION_ROLES.indexOf(role)) return;
  throw new OperationError("forbidden", `${what} needs role ${role}; ${name} has role ${own}`);
}

function shown(value: unknown): unknown {
  if (value === undefined) return undefined;
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? value : null;
}

function describe({ field, value, wanted }: InputProblem): string {
  const given = value === null ? field : `${field} ${typeof value === "string" ? quote(value) : value}`;
  return value === undefined ? `${field} is missing: give ${wanted}` : `${given} is not ${wanted}`;
}
