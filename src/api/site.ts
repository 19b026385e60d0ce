/**
 * Pages for people on the API's port. The API identifies the caller, runs operations and counts requests; the site renders.
 * `GET` changes nothing here either, and a change by a session must come from a page of this origin.
 */
import type { Operation, StreamOperation } from "../operations/operation.ts";
import type { Caller } from "./authenticate.ts";
import type { Problem } from "./problem.ts";

/** A request for a page. */
export interface SiteCall {
  readonly request: Request;
  readonly url: URL;
  /** Variables of the path. */
  readonly params: Readonly<Record<string, string>>;
  /** `null` on an open page. */
  readonly caller: Caller | null;
  readonly correlationId: string;
  /** Aborted when the client has gone or the service stops. */
  readonly signal: AbortSignal;
  /** Exempts the connection from the time limit of the port. Returns false if there are too many. */
  stay(): boolean;
  /** The fields of a form. @throws {Problem} if the body is none, or larger than the API's limit */
  readForm(): Promise<URLSearchParams>;
  /** Runs an operation as the caller, after the checks of the API. @throws {Problem} if it is refused */
  run<Input, Output>(operation: SiteOperation<Input, Output>, input: Input): Promise<Output>;
  /** Runs an operation that the fields of a form are the input of: texts become what the schema says. @throws {Problem} if it is refused */
  runForm(name: string, fields: Readonly<Record<string, unknown>>): Promise<unknown>;
  /**
   * Runs `act`, or repeats its answer if the caller has sent this form before. `key`: from the form; `null`: always runs.
   * @throws {Problem} if the form was sent with other values, or the first one still runs
   */
  runOnce(
    sent: { readonly key: string | null; readonly form: URLSearchParams },
    act: () => Promise<unknown>,
  ): Promise<unknown>;
  /** Runs a stream as the caller. @throws {Problem} if it is refused */
  stream<Input, Item>(operation: SiteStream<Input, Item>, input: Input): AsyncIterable<Item>;
}

// deno-lint-ignore no-explicit-any
type SiteOperation<Input, Output> = Operation<any, Input, Output>;
// deno-lint-ignore no-explicit-any
type SiteStream<Input, Item> = StreamOperation<any, Input, Item>;

/** A page, or what a form does. */
export interface SitePage {
  readonly method: "GET" | "POST";
  /** With `{name}` for each variable. */
  readonly path: string;
  /** Answers without a key or session: the login and what it needs. Default: false. */
  readonly isOpen?: boolean;
  answer(call: SiteCall): Response | Promise<Response>;
}

/** Pages for people. */
export interface Site {
  readonly pages: readonly SitePage[];
  /** What a browser gets instead of a problem document. */
  refuse(problem: Problem, asked: { readonly request: Request; readonly caller: Caller | null }): Response;
  /** Ends what it sends. */
  stop(): Promise<void>;
}

/**
 * Headers of a page: scripts, styles and forms of this origin, and nothing else. With `no-referrer` a browser would send its forms
 * with `Origin: null`; one without `Sec-Fetch-Site` could then neither log in nor act.
 */
export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy": [
    ...["default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "connect-src 'self'"],
    ...["form-action 'self'", "base-uri 'none'", "frame-ancestors 'none'"],
  ].join("; "),
  "referrer-policy": "same-origin",
};

/** Whether a browser shows the answer to a person. */
export function wantsPage(request: Request): boolean {
  const accept = request.headers.get("accept") ?? "";
  return accept.includes("text/html") || request.headers.has("hx-request");
}

/** A path of this site to go to after the login; `/` for anything else. */
export function localPath(text: string | null): string {
  return text !== null && /^\/(?![/\\])[\x21-\x7e]{0,2000}$/.test(text) ? text : "/";
}
