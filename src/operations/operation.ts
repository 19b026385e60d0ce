/** An operation: one user action with one definition for every interface (command line, HTTP). */
import type { TSchema } from "typebox";
import { type Role, ROLES } from "../config/api_keys.ts";
import { looksSecret } from "../config/redact.ts";
import { explainRedisError } from "../redis/advice.ts";
import { StoreError } from "../redis/errors.ts";

/** A JSON Schema (2020-12), written by hand or with TypeBox. */
export type JsonSchema = Readonly<Record<string, unknown>> | TSchema;

/** Who may run an operation. Each role includes the previous ones. */
export const OPERATION_ROLES = ROLES;
/** One of {@link OPERATION_ROLES}. */
export type OperationRole = Role;

/** How an operation is offered over HTTP. The route, its description and its checks are made from this. */
export interface OperationHttp {
  /** `GET` never changes anything. */
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /**
   * Path below `/api/v1`. `{source}` stands for the input member `source`. The other members are in the query (`GET`,
   * `DELETE`) or in a JSON body.
   */
  readonly path: string;
  /** Status of a success. Default 200. */
  readonly status?: 200 | 201 | 202;
  /** Member of the output that is sent as `ETag`. */
  readonly etag?: string;
  /** Optional member of the input that `If-Match` sets. The operation compares it, and fails with `stale`. */
  readonly ifMatch?: string;
  /** Member of the input that is the body itself (`AsyncIterable<Uint8Array>`), of any size; the others are in the query. */
  readonly upload?: string;
}

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
  /** Default: not offered over HTTP. */
  readonly http?: OperationHttp;
  /** Streams have a type of their own. */
  readonly stream?: false;
  /**
   * The caller has checked the input (`checkInput`). Rejects with an {@link OperationError} if it cannot do what was asked, with
   * a `StoreError` if Redis fails, else only for a bug.
   */
  run(context: Context, input: Input): Output | Promise<Output>;
}

/** An operation whose result is a stream of items: HTTP sends NDJSON, the command line writes lines. */
export interface StreamOperation<Context, Input, Item> extends Omit<Operation<Context, Input, Item>, "run" | "stream"> {
  readonly stream: true;
  /** Schema of one item; a text is a line of JSON already. */
  readonly output: JsonSchema;
  /**
   * The first `next()` rejects as {@link Operation.run} does; later ones with a `StoreError` if Redis fails. If the context's
   * signal is aborted, the last item says that the stream is incomplete.
   */
  run(context: Context, input: Input): AsyncIterable<Item>;
}

/** Any operation: its context and input are checked where it is defined. */
// deno-lint-ignore no-explicit-any
export type AnyOperation = Operation<any, any, unknown> | StreamOperation<any, any, unknown>;

/** Why an operation did not do what was asked. */
export const OPERATION_ERROR_CODES = [
  /** The input cannot be used. */
  "invalid",
  /** The actor may not do this. */
  "forbidden",
  "not_found",
  /** The state does not allow it. */
  "conflict",
  /** What was seen has changed. */
  "stale",
  /** It may work later. */
  "unavailable",
  /** It was done, but the journal may lack it. */
  "unrecorded",
] as const;
/** One of {@link OPERATION_ERROR_CODES}. */
export type OperationErrorCode = (typeof OPERATION_ERROR_CODES)[number];

/** A member of the input that cannot be used. */
export interface InputProblem {
  readonly field: string;
  /** The value, or what stands for it. {@link OperationError} hides and shortens texts; a message must not be in it. */
  readonly value: unknown;
  /** A usable value in words; completes "is not". */
  readonly wanted: string;
}

/** One sentence about a member. */
export function describeProblem({ field, value, wanted }: InputProblem): string {
  return value === undefined ? `${field} is missing: ${wanted}` : `${field} ${JSON.stringify(value)} is not ${wanted}`;
}

/** An error that names every problem of an input. */
export function invalidInput(problems: readonly InputProblem[]): OperationError {
  const shown = problems.map(toShown);
  return new OperationError("invalid", shown.map(describeProblem).join("; "), shown);
}

/** Longest text of a value, in characters. */
const SHOWN_CHARACTERS = 80;
/** Ids and cursors look like secrets. */
const ID = /^(\d+\.)?[a-z]_[0-9a-f]{1,40}$/;

/** Hides a text that looks like a secret in the wrong place, and shortens it: answers are kept, and clients log them. */
function toShown(problem: InputProblem): InputProblem {
  const { value } = problem;
  if (typeof value !== "string") return problem;
  if (looksSecret(value) && !ID.test(value)) return { ...problem, value: "[redacted]" };
  return value.length > SHOWN_CHARACTERS ? { ...problem, value: `${value.slice(0, SHOWN_CHARACTERS)}…` } : problem;
}

/** Thrown by an operation that refuses. The message is shown to the caller. */
export class OperationError extends Error {
  override readonly name = "OperationError";
  readonly code: OperationErrorCode;
  readonly problems: readonly InputProblem[];

  constructor(code: OperationErrorCode, message: string, problems: readonly InputProblem[] = []) {
    super(message);
    this.code = code;
    this.problems = problems.map(toShown);
  }

  /** Whether the same request may work later. */
  get retryable(): boolean {
    return this.code === "unavailable";
  }
}

/** Converts what {@link Operation.run} rejected with; `null` for a bug. */
export function toOperationError(error: unknown): OperationError | null {
  if (error instanceof OperationError) return error;
  if (error instanceof StoreError) return new OperationError("unavailable", describeStoreError(error));
  return null;
}

/** Describes a failure of Redis for the caller of an operation. */
export function describeStoreError(error: StoreError): string {
  // The client library's own words name its options.
  if (error.code === "CONNECTION") return "Redis is not connected: mutt-remediation health says why";
  if (error.code === "TIMEOUT") return "Redis did not answer in time; a change that was asked for may have been made";
  return `Redis: ${explainRedisError(error)}`;
}
