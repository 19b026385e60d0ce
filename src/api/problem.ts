/** Problem details (RFC 9457): how the API says why it refuses. Pure. */
import { describeProblem, type InputProblem, type OperationErrorCode } from "../operations/operation.ts";

/** Media type of a problem. */
export const PROBLEM_TYPE = "application/problem+json";

/** Codes of problems, with their status and title. */
export const PROBLEMS = {
  invalid: { status: 400, title: "The request cannot be used" },
  unauthenticated: { status: 401, title: "No valid key or session" },
  forbidden: { status: 403, title: "Not allowed" },
  not_found: { status: 404, title: "Not found" },
  method_not_allowed: { status: 405, title: "Method not allowed" },
  conflict: { status: 409, title: "The current state does not allow this" },
  in_progress: { status: 409, title: "The request still runs" },
  stale: { status: 412, title: "What was seen has changed" },
  too_large: { status: 413, title: "The body is too large" },
  media_type: { status: 415, title: "The media type is not supported" },
  key_reused: { status: 422, title: "The idempotency key belongs to another request" },
  rate_limited: { status: 429, title: "Too many wrong keys" },
  internal: { status: 500, title: "Internal error" },
  unrecorded: { status: 500, title: "Done, but perhaps not in the journal" },
  unavailable: { status: 503, title: "Not available at the moment" },
} as const satisfies Record<OperationErrorCode, unknown> & Record<string, { status: number; title: string }>;
/** One of the codes. */
export type ProblemCode = keyof typeof PROBLEMS;

/** A member of the request that cannot be used. */
export interface FieldProblem extends InputProblem {
  /** Part of the request. */
  readonly in?: "path" | "query" | "body" | "header";
}

/** Thrown to refuse a request. */
export class Problem extends Error {
  override readonly name = "Problem";
  readonly code: ProblemCode;
  readonly problems: readonly FieldProblem[];
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    code: ProblemCode,
    detail: string,
    { problems = [], headers = {} }: {
      problems?: readonly FieldProblem[];
      headers?: Readonly<Record<string, string>>;
    } = {},
  ) {
    super(detail);
    this.code = code;
    this.problems = problems;
    this.headers = headers;
  }
}

/** Refuses one member of a request. */
export function fieldProblem(problem: FieldProblem): Problem {
  return new Problem("invalid", describeProblem(problem), { problems: [problem] });
}

/** The document of a problem. */
export function problemDocument({ code, message, problems }: Problem, correlationId: string): Record<string, unknown> {
  const { status, title } = PROBLEMS[code];
  return {
    ...{ type: "about:blank", title, status, detail: message, code, correlation_id: correlationId },
    ...(problems.length === 0 ? {} : { problems: problems.map(({ value = null, ...rest }) => ({ ...rest, value })) }),
  };
}

/** JSON Schema of {@link problemDocument}. */
export const PROBLEM_SCHEMA = {
  type: "object",
  required: ["type", "title", "status", "detail", "code", "correlation_id"],
  properties: {
    type: { type: "string" },
    title: { type: "string" },
    status: { type: "integer" },
    detail: { type: "string", description: "What is wrong and what to do, for people." },
    code: { enum: Object.keys(PROBLEMS) },
    correlation_id: { type: "string" },
    problems: {
      type: "array",
      description: "Every member of the request that cannot be used.",
      items: {
        type: "object",
        required: ["field", "value", "wanted"],
        properties: {
          field: { type: "string" },
          in: { enum: ["path", "query", "body", "header"] },
          value: { description: "The value; null if it is missing or not shown." },
          wanted: { type: "string" },
        },
      },
    },
  },
} as const;
