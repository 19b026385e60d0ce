/** Checks what an operator has given to an operation that changes data, and may do. */
import type { TSchema } from "typebox";
import type { Actor } from "./context.ts";
import { findProblems } from "./input.ts";
import { type InputProblem, invalidInput, OPERATION_ROLES, OperationError, type OperationRole } from "./operation.ts";

/** The schema of an input; the description of each member says what is wanted. */
export interface InputSchema {
  readonly properties: Readonly<Record<string, TSchema>>;
  readonly required?: readonly string[] | undefined;
}

/** @throws OperationError `invalid` with every member that is unknown, missing or wrong, and with `more` */
export function checkInput(schema: InputSchema, input: object, more: readonly InputProblem[] = []): void {
  const problems = [...findProblems({ ...schema }, input), ...more];
  if (problems.length > 0) throw invalidInput(problems);
}

/** @throws OperationError `forbidden` if the actor's role does not include `role`. `what`: completes "needs role" */
export function requireRole({ name, role: own }: Actor, role: OperationRole, what: string): void {
  if (OPERATION_ROLES.indexOf(own) >= OPERATION_ROLES.indexOf(role)) return;
  throw new OperationError("forbidden", `${what} needs role ${role}; ${name} has role ${own}`);
}
