/** An operation: one user action with one definition for every interface (command line, HTTP). */
import type { TSchema } from "typebox";
import { type Role, ROLES } from "../config/api_keys.ts";
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
  /** Schema of the output, or of each item if it is a stream. */
  readonly output: JsonSchema;
  /** Default: not offered over HTTP. */
  readonly http?: OperationHttp;
  /** Whether the output is an `AsyncIterable` of items. Default: false. */
  readonly stream?: boolean;
  /**
   * Rejects with an {@link OperationError} if it cannot do what was asked, with a `StoreError` if Redis fails, else only
   * for a bug.
   */
  run(context: Context, input: Input): Output | Promise<Output>;
}

/** An operation whose result is a stream of items: HTTP sends NDJSON, the command line writes lines. */
export interface StreamOperation<Context, Input, Item> extends Omit<Operation<Context, Input, Item>, "run"> {
  readonly stream: true;
  /** Schema of one item. */
  readonly output: JsonSchema;
  /**
   * The first `next()` rejects as {@link Operation.run} does; later ones with a `StoreError` if Redis fails. If the context's
   * signal is aborted, the last item says that the stream is incomplete.
   */
  run(context: Context, input: Input): AsyncIterable<Item>;
}

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
] as const;
/** One of {@link OPERATION_ERROR_CODES}. */
export type OperationErrorCode = (typeof OPERATION_ERROR_CODES)[number];

/** A member of the input that cannot be used. */
export interface InputProblem {
  readonly field: string;
  /** The value, or what stands for it; never a secret or a message. */
  readonly value: unknown;
  /** A usable value in words; completes "is not". */
  readonly wanted: string;
}

/** Thrown by an operation that refuses. The message is shown to the caller. */
export class OperationError extends Error {
  override readonly name = "OperationError";
  readonly code: OperationErrorCode;
  readonly problems: readonly InputProblem[];

  constructor(code: OperationErrorCode, message: string, problems: readonly InputProblem[] = []) {
    super(message);
    this.code = code;
    this.problems = problems;
  }

  /** Whether the same request may work later. */
  get retryable(): boolean {
    return this.code === "unavailable";
  }
}

/** Converts what {@link Operation.run} rejected with; `null` for a bug. */
export function toOperationError(error: unknown): OperationError | null {
  if (error instanceof OperationError) return error;
  if (error instanceof StoreError) return new OperationError("unavailable", `Redis: ${error.message}`);
  return null;
}
