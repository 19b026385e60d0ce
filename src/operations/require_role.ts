/** Checks what an actor may do, where that depends on more than the operation. */
import type { Actor } from "./context.ts";
import { OPERATION_ROLES, OperationError, type OperationRole } from "./operation.ts";

/** @throws OperationError `forbidden` if the actor's role does not include `role`. `what`: completes "needs role" */
export function requireRole({ name, role: own }: Actor, role: OperationRole, what: string): void {
  if (OPERATION_ROLES.indexOf(own) >= OPERATION_ROLES.indexOf(role)) return;
  throw new OperationError("forbidden", `${what} needs role ${role}; ${name} has role ${own}`);
}
