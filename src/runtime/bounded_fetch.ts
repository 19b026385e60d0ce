/** One bounded HTTP exchange: never longer than its time, never more than a few KiB, never another address. */
import { Buffer } from "node:buffer";
import { unescape } from "node:querystring";
import type { Clock } from "./clock.ts";

/** Most of an answer's body that is read where only its status counts. */
const MAX_BODY_BYTES = 4096;

/** What can be wrong with TLS. Closed set. */
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

/** How an exchange can fail, but for TLS. Closed set. */
export const FETCH_FAILURES = ["timeout", "dns", "refused", "proxy", "unreachable"] as const;

/** How an exchange ended. */
export type FetchOutcome =
  | {
    readonly kind: "answered";
    readonly status: number;
    /** The body's text, cut behind `bodyBytes`; only where that was asked for. */
    readonly body?: string;
  }
  /**
   * `timeout`: not finished in time, answer's body included. `dns`: the host's name has no address. `refused`: nothing
   * listens there. `proxy`: the proxy does not connect us. `unreachable`: anything else, as a connection that broke before
   * the answer was whole. Through a proxy `dns` and `refused` are the proxy's own.
   */
  | { readonly kind: (typeof FETCH_FAILURES)[number] }
  /** No TLS with the other side, or none that can be trusted. */
  | { readonly kind: "tls"; readonly flaw: TlsFlaw };

/** What {@link fetchStatus} sends, and its bounds. */
export interface FetchRequest {
  /** May carry credentials: they go out as `Authorization: Basic` unless `headers` has an `authorization` already. */
  readonly url: URL;
  readonly method: "GET" | "POST";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array<ArrayBuffer>;
  /** Most bytes of the body that the outcome is to have (one network read more at most); default: it has none. */
  readonly bodyBytes?: number;
  /** For the whole exchange. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** Gives the exchange up; its outcome is then `unreachable`. */
  readonly signal: AbortSignal;
  /** The proxy to go through, with its credentials; default: none. */
  readonly proxy?: URL | undefined;
  /** A certificate authority (PEM) that is trusted beside those of the runtime; default: none. */
  readonly caCert?: string | undefined;
  /** Replaced in tests. */
  readonly fetch?: typeof fetch;
}

/**
 * Sends one request and waits for the answer's status. Redirects are not followed (3xx is an answer), at most some 4 KiB
 * of the body are read or `bodyBytes` (one network read more at most), and the connection is not kept. Never rejects, whatever the
 * other side does; tests/integration/probe_test.ts has the other sides.
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
    const { bodyBytes } = request, bytes = await readBody(response, bodyBytes ?? MAX_BODY_BYTES);
    const { status } = response;
    if (bodyBytes === undefined) return { kind: "answered", status };
    return { kind: "answered", status, body: new TextDecoder().decode(bytes.subarray(0, bodyBytes)) };
  } catch (error) {
    // The error's text names the URL with its query, so it goes nowhere.
    if (timedOut) return { kind: "timeout" };
    return request.signal.aborted ? { kind: "unreachable" } : readFailure(error);
  } finally {
    over.abort();
    client?.close();
    await deadline;
  }
}

/** `undefined`: the runtime's own will do. */
function openClient({ proxy, caCert }: FetchRequest): Deno.HttpClient | undefined {
  if (proxy === undefined && !caCert) return undefined;
  return Deno.createHttpClient({
    ...(proxy === undefined ? {} : { proxy: { url: proxy.href } }),
    ...(caCert ? { caCerts: [caCert] } : {}),
  });
}

/** The texts of the runtime (reqwest, hyper, rustls), the first that matches. Deno 2.9.6 and 2.6.10 say the same. */
const FAILURES: readonly (readonly [RegExp, FetchOutcome])[] = [
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

/** Only a kind: the error's text names the URL with its query, so it goes nowhere. */
function readFailure(error: unknown): FetchOutcome {
  const texts: string[] = [];
  for (let at = error; at instanceof Error; at = at.cause) texts.push(at.message);
  // Without the URL, which may say anything.
  const text = texts.join("\n").replace(/\bhttps?:\/\/\S+/g, "");
  return FAILURES.find(([pattern]) => pattern.test(text))?.[1] ?? { kind: "unreachable" };
}

function headersOf({ url, headers }: FetchRequest): Record<string, string> {
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
