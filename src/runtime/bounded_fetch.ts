/** Sends one HTTP request with bounds on time, response size and address. */
import { Buffer } from "node:buffer";
import { unescape } from "node:querystring";
import type { Clock } from "./clock.ts";

/** Most bytes read of a body if only the status matters. */
const MAX_BODY_BYTES = 4096;

/** TLS failures. Closed set. */
export const TLS_FLAWS = [
  "unknown_authority",
  "self_signed",
  "expired",
  "not_yet_valid",
  "wrong_name",
  "not_tls",
  "other",
] as const;
/** One of {@link TLS_FLAWS}. */
export type TlsFlaw = (typeof TLS_FLAWS)[number];

/** Failures other than TLS. Closed set. */
export const FETCH_FAILURES = ["timeout", "dns", "refused", "proxy", "unreachable"] as const;

/** Outcome of an exchange. */
export type FetchOutcome =
  | {
    readonly kind: "answered";
    readonly status: number;
    /** Text of the body, cut after `bodyBytes`; present only if requested. */
    readonly body?: string;
    /** Values of the requested headers that the answer has; present only if any were requested. */
    readonly headers?: Readonly<Record<string, string>>;
  }
  /**
   * - `timeout`: not complete in time, including the body.
   * - `dns`: the host name has no address.
   * - `refused`: connection refused.
   * - `proxy`: the proxy does not connect us.
   * - `unreachable`: any other failure, such as a connection that broke before the response was complete.
   *
   * Through a proxy, `dns` and `refused` concern the proxy itself.
   */
  | { readonly kind: (typeof FETCH_FAILURES)[number] }
  /** The TLS handshake failed, or the certificate is invalid or not trusted. */
  | { readonly kind: "tls"; readonly flaw: TlsFlaw };

/** Options of {@link fetchStatus}. */
export interface FetchRequest {
  /** May contain credentials, sent as `Authorization: Basic` unless `headers` has an `authorization`. */
  readonly url: URL;
  readonly method: "GET" | "POST";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array<ArrayBuffer>;
  /** Most bytes of the body to return (up to one more network read is received). Default: no body is returned. */
  readonly bodyBytes?: number;
  /** Names, in lower case, of headers of the answer to return. Default: none. */
  readonly headerNames?: readonly string[];
  /** Time limit of the whole exchange, in milliseconds. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** Aborts the exchange; the outcome is then `unreachable`. */
  readonly signal: AbortSignal;
  /** Proxy to use, with credentials. Default: none. */
  readonly proxy?: URL | undefined;
  /** Certificate authority (PEM) trusted in addition to the runtime's. Default: none. */
  readonly caCert?: string | undefined;
  /** Replaced in tests. */
  readonly fetch?: typeof fetch;
}

/**
 * Sends one request and waits for the response's status. Does not follow redirects: a 3xx is an answer. Reads at most
 * about 4 KiB of the body, or `bodyBytes` (plus at most one network read). Closes the connection. Never rejects
 * (tests/integration/probe_test.ts).
 */
export async function fetchStatus(request: FetchRequest): Promise<FetchOutcome> {
  const over = new AbortController();
  let timedOut = false;
  const deadline = request.clock.sleep(request.timeoutMs, over.signal).then(() => {
    timedOut = !over.signal.aborted;
    over.abort();
  });
  let client: Deno.HttpClient | undefined;
  try {
    client = openClient(request);
    const response = await (request.fetch ?? fetch)(address(request.url), {
      method: request.method,
      headers: headersOf(request),
      redirect: "manual",
      signal: AbortSignal.any([over.signal, request.signal]),
      ...(request.body === undefined ? {} : { body: request.body }),
      ...(client === undefined ? {} : { client }),
    });
    const { bodyBytes, headerNames } = request, bytes = await readBody(response, bodyBytes ?? MAX_BODY_BYTES);
    return {
      ...{ kind: "answered", status: response.status },
      ...(headerNames ? { headers: pickHeaders(response.headers, headerNames) } : {}),
      ...(bodyBytes === undefined ? {} : { body: new TextDecoder().decode(bytes.subarray(0, bodyBytes)) }),
    };
  } catch (error) {
    // The error's text contains the URL with its query, so it must not be logged.
    if (timedOut) return { kind: "timeout" };
    return request.signal.aborted ? { kind: "unreachable" } : readFailure(error);
  } finally {
    over.abort();
    client?.close();
    await deadline;
  }
}

/**
 * Creates an HTTP client if a proxy or an authority is set; `undefined` means the runtime's default client. The caller closes
 * it. Does no IO.
 */
export function openClient({ proxy, caCert }: Pick<FetchRequest, "proxy" | "caCert">): Deno.HttpClient | undefined {
  if (proxy === undefined && !caCert) return undefined;
  return Deno.createHttpClient({
    ...(proxy === undefined ? {} : { proxy: { url: proxy.href } }),
    ...(caCert ? { caCerts: [caCert] } : {}),
  });
}

/**
 * Error texts of the runtime (reqwest, hyper, rustls); the first match counts. Deno 2.9.6 and 2.6.10 use the same
 * texts.
 */
const FAILURES: readonly (readonly [RegExp, Exclude<FetchOutcome, { kind: "answered" }>])[] = [
  [/UnknownIssuer/, { kind: "tls", flaw: "unknown_authority" }],
  [/CaUsedAsEndEntity/, { kind: "tls", flaw: "self_signed" }],
  [/certificate expired|\bExpired\b/, { kind: "tls", flaw: "expired" }],
  [/certificate not valid yet|NotValidYet/, { kind: "tls", flaw: "not_yet_valid" }],
  [/not valid for name|NotValidForName/, { kind: "tls", flaw: "wrong_name" }],
  [/InvalidContentType/, { kind: "tls", flaw: "not_tls" }],
  [/invalid peer certificate|tls handshake|fatal alert|corrupt message|peer is incompatible|peer misbehaved/i, {
    kind: "tls",
    flaw: "other",
  }],
  [/dns error/, { kind: "dns" }],
  [/Connection refused/, { kind: "refused" }],
  [/proxy authentication required|unsuccessful tunnel|tunnel error|unexpected eof while tunneling|socks/i, {
    kind: "proxy",
  }],
];

/** Maps an error of `fetch` to its kind only: its text contains the URL with the query, so it must not be shown. Never throws. */
export function readFailure(error: unknown): Exclude<FetchOutcome, { kind: "answered" }> {
  const texts: string[] = [];
  for (let at = error; at instanceof Error; at = at.cause) texts.push(at.message);
  // Remove the URL, which could match a pattern.
  const text = texts.join("\n").replace(/\bhttps?:\/\/\S+/g, "");
  return FAILURES.find(([pattern]) => pattern.test(text))?.[1] ?? { kind: "unreachable" };
}

function headersOf({ url, headers }: FetchRequest): Record<string, string> {
  const basic = url.username === "" && url.password === ""
    ? {}
    : { authorization: `Basic ${base64(`${unescape(url.username)}:${unescape(url.password)}`)}` };
  // Keep-alive could look like an outage if the server closes the idle connection at that moment.
  return { connection: "close", ...basic, ...headers };
}

function pickHeaders(headers: Headers, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.flatMap((name) => {
    const value = headers.get(name);
    return value === null ? [] : [[name, value]];
  }));
}

function base64(text: string): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

/** Removes credentials: fetch would send them beside our `authorization` and show them in its errors. */
function address(url: URL): URL {
  const plain = new URL(url);
  plain.username = "";
  plain.password = "";
  return plain;
}

/** Reads the start of the body, up to one network read more than `maxBytes`. */
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
