/** Creates what a page is asked with: the operations as the caller may run them, and forms that run once. */
import type { Role } from "../config/api_keys.ts";
import { checkInput, type SchemaObject } from "../operations/input.ts";
import type { AnyOperation } from "../operations/operation.ts";
import type { Call } from "./api.ts";
import type { Caller } from "./authenticate.ts";
import { readForm } from "./body.ts";
import type { Ctx } from "./env.ts";
import { KEY_PATTERN, type RepeatableRequests } from "./idempotency.ts";
import { readInput } from "./input.ts";
import { Problem } from "./problem.ts";
import type { SiteCall } from "./site.ts";

/** What a call needs of the API. */
export interface SiteCallParts {
  readonly operations: readonly AnyOperation[];
  readonly contextFor: (call: Call) => unknown;
  readonly requests: RepeatableRequests;
  /** @throws {Problem} */
  readonly requireRole: (caller: Caller, role: Role) => void;
  readonly toProblem: (error: unknown) => Problem;
  readonly stay: () => boolean;
  /** Aborted when the service stops. */
  readonly stopped: AbortSignal;
}

/** Creates the call of a request. */
export function createSiteCall(c: Ctx, caller: Caller | null, parts: SiteCallParts): SiteCall {
  const { operations, contextFor, requireRole, stay, stopped } = parts, correlationId = c.get("correlationId");
  const signal = AbortSignal.any([c.env.visit.signal, stopped]);
  const prepare = (operation: AnyOperation, until = signal) => {
    if (caller === null) throw new Problem("unauthenticated", "Log in first");
    requireRole(caller, operation.role);
    return contextFor({ actor: caller.actor, correlationId, signal: until });
  };
  return {
    ...{ request: c.req.raw, url: new URL(c.req.url), params: c.req.param(), caller, correlationId, signal, stay },
    readForm: () => readForm(c.req.raw),
    run: async (operation, input) => await operation.run(prepare(operation), checkInput(operation.input, input)),
    stream: (operation, input) => operation.run(prepare(operation), checkInput(operation.input, input)),
    runForm: async (name, fields) => {
      const operation = operations.find((one) => one.name === name && !one.stream && one.http);
      if (!operation) throw new Problem("not_found", `There is no action ${name}`);
      const context = prepare(operation, stopped);
      c.set("outlivesClient", true);
      stay();
      const input = readInput(operation.input as SchemaObject, { path: fields, query: {}, body: {} });
      return await operation.run(context, input);
    },
    runOnce: (sent, act) => runFormOnce(c, { ...sent, act }, parts),
  };
}

/**
 * A form that was refused may be sent again with other values; one that was accepted, as after the back button, only as it was.
 * What was done but not recorded must not run again. @throws {Problem} as `act`, or because it still runs
 */
async function runFormOnce(
  c: Ctx,
  { key, form, act }: { key: string | null; form: URLSearchParams; act: () => Promise<unknown> },
  { requests, toProblem }: SiteCallParts,
): Promise<unknown> {
  if (key === null || !KEY_PATTERN.test(key)) return await act();
  const { name } = c.get("caller").actor;
  const body = new TextEncoder().encode(form.toString());
  const request = { key, actor: name, method: c.req.method, url: c.req.path, body };
  const response = await requests.run(request, async () => {
    try {
      return { response: Response.json({ done: await act() }), isFinal: true };
    } catch (error) {
      const { code, message } = toProblem(error);
      if (code !== "unrecorded") throw error;
      return { response: Response.json({ unrecorded: message }), isFinal: true };
    }
  }).catch(describeReuse);
  const { done, unrecorded } = await response.json();
  if (unrecorded !== undefined) throw new Problem("unrecorded", unrecorded);
  return done;
}

function describeReuse(error: unknown): never {
  if (!(error instanceof Problem) || error.code !== "key_reused") throw error;
  throw new Problem("key_reused", "This form was sent before with other values: load the page again");
}
