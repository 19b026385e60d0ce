/** One bounded HTTP exchange: never longer than its time, never more than a few KiB, never another address. */
import { Buffer } from "node:buffer";
import { unescape } from "node:querystring";
import type { Clock } from "./clock.ts";

/** Most of an answer's body that is read where only its status counts. */
const MAX_BODY_BYTES = 4096;

/** How an exchange ended. */
export type ExchangeOutcome =
  | {
    readonly kind: "answered";
    readonly status: number;
    /** The body's text, cut behind `bodyBytes`; only where that was asked for. */
    readonly body?: string;
  }
  /** Not finished in time, answer's body included. */
  | { readonly kind: "timeout" }
  /** No connection, or one that broke before the answer was whole. */
  | { readonly kind: "unreachable" };

/** What {@link exchange} sends, and its bounds. */
export interface ExchangeRequest {
  /** May carry credentials: they go out as `Authorization: Basic` unless `headers` has an `authorization` already. */
  readonly url: URL;
  readonly method: "GET" | "POST";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array<ArrayBuffer>;
  /** Most bytes of the body that the outcome is to have (one network read more at most); default: it has none. */
  readonly bodyBytes?: number;
  /** PEM text of authorities that are accepted beside those that the runtime brings. */
  readonly caCert?: string;
  /** For the whole exchange. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** Gives the exchange up; its outcome is then `unreachable`. */
  readonly signal: AbortSignal;
  /** Replaced in tests. */
  readonly fetch?: typeof fetch;
}

/**
 * Sends one request and waits for the answer's status. Redirects are not followed (3xx is an answer), at most some 4 KiB
 * of the body are read or `bodyBytes` (one network read more at most), and the connection is not kept. Never rejects, whatever the
 * other side does; tests/integration/probe_test.ts has the other sides.
 */
export async function exchange(request: ExchangeRequest): Promise<ExchangeOutcome> {
  const over = new AbortController();
  let timedOut = false;
  const deadline = request.clock.sleep(request.timeoutMs, over.signal).then(() => {
    timedOut = !over.signal.aborted;
    over.abort();
  });
  let client: Deno.HttpClient | undefined;
  try {
    client = request.caCert ? Deno.createHttpClient({ caCerts: [request.caCert] }) : undefined;
    const response = await (request.fetch ?? fetch)(address(request.url), {
      method: request.method,
      headers: headersOf(request),
      redirect: "manual",
      signal: AbortSignal.any([over.signal, request.signal]),
      ...(request.body === undefined ? {} : { body: request.body }),
      ...(client === undefined ? {} : { client }),
    });
    const { bodyBytes } = request, bytes = await readBody(response, bodyBytes ?? MAX_BODY_BYTES);
    const { status } = response;
    if (bodyBytes === undefined) return { kind: "answered", status };
    return { kind: "answered", status, body: new TextDecoder().decode(bytes.subarray(0, bodyBytes)) };
  } catch {
    // The error's text names the URL with its query, so it goes nowhere.
    return { kind: timedOut ? "timeout" : "unreachable" };
  } finally {
    client?.close();
    over.abort();
    await deadline;
  }
}

function headersOf({ url, headers }: ExchangeRequest): Record<string, string> {
  const basic = url.username === "" && url.password === ""
    ? {}
    : { authorization: `Basic ${base64(`${unescape(url.username)}:${unescape(url.password)}`)}` };
  // A kept connection that the other side closes just then would look like an outage.
  return { connection: "close", ...basic, ...headers };
}

function base64(text: string): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

/** Without credentials: fetch would send them beside an `authorization` of ours, and name them in its errors. */
function address(url: URL): URL {
  const plain = new URL(url);
  plain.username = "";
  plain.password = "";
  return plain;
}

/** The beginning of the body: a little more than `maxBytes` where it is longer. */
async function readBody(response: Response, maxBytes: number): Promise<Uint8Array> {
  if (response.body === null) return new Uint8Array();
  const reader = response.body.getReader();
  const parts: Uint8Array[] = [];
  for (let bytes = 0; bytes < maxBytes;) {
    const { done, value } = await reader.read();
    if (done) return Buffer.concat(parts);
    parts.push(value);
    bytes += value.byteLength;
  }
  await reader.cancel();
  return Buffer.concat(parts);
}
