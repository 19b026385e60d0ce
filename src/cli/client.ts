/** Sends requests to the API, and turns what goes wrong into words. */
import { openClient, readFailure, type TlsFlaw } from "../runtime/bounded_fetch.ts";
import { SYSTEM_CLOCK } from "../runtime/clock.ts";
import { EXIT } from "../runtime/exit.ts";
import { createId } from "../runtime/random.ts";
import { escapeHidden } from "../runtime/control_characters.ts";
import type { Offer } from "./catalog.ts";
import type { Connection } from "./connection.ts";
import { flagOf } from "./wordings.ts";

/** Thrown if a request cannot be answered. The message is for people. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly exitCode: number;
  /** Code of the problem; `null`: the connection failed. */
  readonly code: string | null;

  constructor(message: string, { exitCode, code = null }: { exitCode: number; code?: string | null }) {
    super(message);
    this.exitCode = exitCode;
    this.code = code;
  }
}

/** A problem's document (RFC 9457) as the API sends it. */
interface ProblemDocument {
  readonly code?: string;
  readonly title?: string;
  readonly detail?: string;
  readonly correlation_id?: string;
  readonly problems?: readonly { readonly field: string; readonly value: unknown; readonly wanted: string }[];
}

const EXIT_CODES: Readonly<Record<string, number>> = {
  invalid: EXIT.usage,
  unauthenticated: EXIT.noPermission,
  forbidden: EXIT.noPermission,
  rate_limited: EXIT.unavailable,
  unavailable: EXIT.unavailable,
};

/** Input of a request: what is in an upload is a stream. */
export type Input = Readonly<Record<string, unknown>>;

/** Code of an {@link ApiError} for a service that accepts the connection and does not answer. Asking again would wait again. */
const LATE = "late";
/** Code of the API for a write that still runs, and the pause until its answer is asked for again, in milliseconds. */
const RUNS_STILL = "in_progress", ASK_AGAIN_MS = 1_000;

/** A client of one API. Close it after the last request. */
export class ApiClient {
  readonly #connection: Connection;
  readonly #signal: AbortSignal;
  readonly #client: Deno.HttpClient | undefined;

  constructor(connection: Connection, signal: AbortSignal) {
    this.#connection = connection;
    this.#signal = signal;
    this.#client = openClient(connection);
  }

  /** Closes its connections. */
  close(): void {
    this.#client?.close();
  }

  /** Address of the API. */
  get url(): string {
    return this.#connection.url;
  }

  /**
   * Runs an operation. A write whose answer is lost is sent once more, and one that still runs is asked for until it is answered: its
   * key makes sure that it runs once. @throws {ApiError}
   */
  async run(offer: Offer, input: Input): Promise<unknown> {
    const request = this.#compose(offer, input), isUpload = request.init.body instanceof ReadableStream;
    let response: Response | null = null, isRepeated = isUpload;
    while (response === null) {
      try {
        response = await this.#send(request);
      } catch (error) {
        if (this.#signal.aborted || !(error instanceof ApiError)) throw error;
        if (error.code === RUNS_STILL) await SYSTEM_CLOCK.sleep(ASK_AGAIN_MS, this.#signal);
        else if (isRepeated || error.code !== null) throw error;
        else isRepeated = true;
      }
    }
    try {
      return await response.json();
    } catch (error) {
      throw this.#failure(error);
    }
  }

  /** Makes a link that logs a browser in once. @throws {ApiError} */
  async createLoginLink(): Promise<{ readonly url: string; readonly seconds: number }> {
    const headers = { accept: "application/json", "x-api-key": this.#connection.key.reveal() };
    const response = await this.#send({ url: new URL(`${this.url}/login/link`), init: { method: "POST", headers } });
    const { path, seconds } = await response.json() as { path: string; seconds: number };
    return { url: `${this.url}${path}`, seconds };
  }

  /** Runs an operation that answers with lines. @throws {ApiError} */
  async *lines(offer: Offer, input: Input): AsyncGenerator<string> {
    const { url, init } = this.#compose(offer, input), response = await this.#send({ url, init });
    let rest = "";
    for await (const part of this.#parts(response)) {
      const lines = (rest + part).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        if (line === "") continue;
        if (line.startsWith('{"error":')) throw toError(JSON.parse(line).error);
        yield line;
      }
    }
    if (rest !== "") throw new ApiError("The answer broke off", { exitCode: EXIT.unavailable });
  }

  /** @throws {ApiError} if the connection breaks or the signal aborts */
  async *#parts(response: Response): AsyncGenerator<string> {
    try {
      for await (const part of response.body!.pipeThrough(new TextDecoderStream())) yield part;
    } catch (error) {
      throw this.#failure(error);
    }
  }

  #compose({ method, path, members }: Offer, input: Input): { url: URL; init: RequestInit & { duplex?: "half" } } {
    const url = new URL(
      this.#connection.url + path.replaceAll(/\{(\w+)\}/g, (_, name) => encodeURIComponent(String(input[name]))),
    );
    const body: Record<string, unknown> = {};
    let upload: ReadableStream<Uint8Array<ArrayBuffer>> | undefined;
    for (const [name, value] of Object.entries(input)) {
      const part = members[name]?.in ?? "query";
      if (part === "body") body[name] = value;
      else if (part === "upload") upload = value as typeof upload;
      else if (part === "query") { for (const one of [value].flat()) url.searchParams.append(name, String(one)); }
    }
    const headers: Record<string, string> = {
      accept: "application/json, application/x-ndjson",
      "x-api-key": this.#connection.key.reveal(),
    };
    if (method === "GET") return { url, init: { method, headers } };
    if (upload) {
      return {
        url,
        init: { method, headers: { ...headers, "content-type": "application/x-ndjson" }, body: upload, duplex: "half" },
      };
    }
    Object.assign(headers, { "content-type": "application/json", "idempotency-key": createId() });
    return { url, init: { method, headers, body: JSON.stringify(body) } };
  }

  /** @throws {ApiError} */
  async #send({ url, init }: { url: URL; init: RequestInit }): Promise<Response> {
    const { patienceMs } = this.#connection, late = new AbortController();
    const isUpload = init.body instanceof ReadableStream;
    // An upload is answered when all of it has been read, which takes as long as it takes.
    const answered = new AbortController();
    if (!isUpload) {
      void SYSTEM_CLOCK.sleep(patienceMs, answered.signal).then(() => answered.signal.aborted || late.abort());
    }
    let response: Response;
    try {
      const signal = AbortSignal.any([this.#signal, late.signal]);
      const client = this.#client ? { client: this.#client } : {};
      response = await fetch(url, { ...init, ...client, redirect: "manual", signal });
    } catch (error) {
      if (!late.signal.aborted || this.#signal.aborted) throw this.#failure(error);
      throw new ApiError(`${this.url} gave no answer within ${patienceMs / 1_000} s`, {
        ...{ exitCode: EXIT.unavailable, code: LATE },
      });
    } finally {
      answered.abort();
    }
    if (response.ok) return response;
    if (response.headers.get("content-type")?.startsWith("application/problem+json")) {
      throw toError(
        await response.json().catch((error) => {
          throw this.#failure(error);
        }),
      );
    }
    await response.body?.cancel();
    throw new ApiError(`${this.url} does not answer as the API does: status ${response.status}`, {
      exitCode: EXIT.unavailable,
    });
  }

  /** What a failed request or a broken answer means. */
  #failure(error: unknown): ApiError {
    if (this.#signal.aborted) return new ApiError("Interrupted", { exitCode: EXIT.interrupted });
    const { proxy } = this.#connection, via = proxy ? ` through the proxy ${proxy.host}` : "";
    return new ApiError(`Cannot ask ${this.url}${via}: ${whyNot(error)}`, { exitCode: EXIT.unavailable });
  }
}

const TLS_WORDS: Readonly<Record<TlsFlaw, string>> = {
  unknown_authority: "its certificate is of an authority that is not trusted: name the authority's file with --ca-cert",
  self_signed: "its certificate is an authority's own, which clients refuse",
  expired: "its certificate has expired",
  not_yet_valid: "its certificate is not valid yet",
  wrong_name: "its certificate is for another name",
  not_tls: "it does not speak TLS on this port",
  other: "the TLS connection failed",
};

/** In words; the runtime's text contains the address with its query. */
function whyNot(error: unknown): string {
  if (error instanceof SyntaxError) return "the answer is not JSON";
  const failure = readFailure(error);
  switch (failure.kind) {
    case "refused":
      return "nothing listens there. Does the service run, and has it opened the API?";
    case "dns":
      return "the name has no address";
    case "tls":
      return TLS_WORDS[failure.flaw];
    case "proxy":
      return "the proxy does not connect to it";
    default:
      return "the connection broke or failed";
  }
}

/** The problem in words, with the names of flags. */
function toError({ code = "", title = "", detail = "", problems = [], correlation_id: id }: ProblemDocument): ApiError {
  // Some details say it already.
  const more = code === "invalid" ? problems : problems.filter(({ wanted }) => !detail.includes(wanted));
  const flags = more.map(({ field, value, wanted }) => {
    const name = flagOf(field);
    if (wanted.startsWith("at ")) return `${name} ${escapeHidden(JSON.stringify(value))}: ${wanted}`;
    return value === null ? `${name}: ${wanted}` : `${name} ${escapeHidden(JSON.stringify(value))} is not ${wanted}`;
  });
  const isSame = flags.length === 1 && detail.endsWith(` is not ${problems[0]!.wanted}`);
  const text = code !== "invalid" && !isSame
    ? `${escapeHidden(detail)}${flags.length > 0 ? ` (${flags.join("; ")})` : ""}`
    : problems.length > 1
    ? `${title}:\n${flags.map((one) => `  ${one}`).join("\n")}`
    : flags[0] ?? escapeHidden(detail);
  const trace = code === "internal" ? ` (correlation id ${id})` : "";
  return new ApiError(`${text}${trace}`, { code, exitCode: EXIT_CODES[code] ?? EXIT.failed });
}
