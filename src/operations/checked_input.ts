/** Checks what an operator has given to an operation that changes data, and may do. */
import type { Actor } from "./context.ts";
import { findProblems, type SchemaObject } from "./input.ts";
import {
  type InputProblem,
  invalidInput,
  type JsonSchema,
  OPERATION_ROLES,
  OperationError,
  type OperationRole,
} from "./operation.ts";

/** @throws OperationError `invalid` with every member that is unknown, missing or wrong, and with `more` */
export function checkInput(schema: JsonSchema, input: object, more: readonly InputProblem[] = []): void {
  const problems = [...findProblems(schema as SchemaObject, input), ...more];
  if (problems.length > 0) throw invalidInput(problems);
}

/** @throws OperationError `forbidden` if the actor's role does not include `role`. `what`: completes "needs role" */
export function requireRole({ name, role: own }: Actor, role: OperationRole, what: string): void {
  if (OPERATION_ROLES.indexOf(own) >= OPERATION_ROLES.indexOf(role)) return;
  throw new OperationError("forbidden", `${what} needs role ${role}; ${name} has role ${own}`);
}
