/** Sends requests to the API, and turns what goes wrong into words. */
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
/** Longest silence before an answer begins, in milliseconds. The service itself cuts silent connections after 30 s. */
const PATIENCE_MS = 60_000;

/** A client of one API. */
export class ApiClient {
  readonly #connection: Connection;
  readonly #signal: AbortSignal;

  constructor(connection: Connection, signal: AbortSignal) {
    this.#connection = connection;
    this.#signal = signal;
  }

  /** Address of the API. */
  get url(): string {
    return this.#connection.url;
  }

  /** Runs an operation. A write whose answer is lost is sent once more: its key makes sure that it runs once. @throws {ApiError} */
  async run(offer: Offer, input: Input): Promise<unknown> {
    const request = this.#compose(offer, input);
    const isRepeatable = !(request.init.body instanceof ReadableStream);
    let response: Response;
    try {
      response = await this.#send(request);
    } catch (error) {
      if (!isRepeatable || this.#signal.aborted || !(error instanceof ApiError) || error.code !== null) throw error;
      response = await this.#send(request);
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
    const late = new AbortController(), isUpload = init.body instanceof ReadableStream;
    // An upload is answered when all of it has been read, which takes as long as it takes.
    const answered = new AbortController();
    if (!isUpload) {
      void SYSTEM_CLOCK.sleep(PATIENCE_MS, answered.signal).then(() => answered.signal.aborted || late.abort());
    }
    let response: Response;
    try {
      const signal = AbortSignal.any([this.#signal, late.signal]);
      response = await fetch(url, { ...init, redirect: "manual", signal });
    } catch (error) {
      if (!late.signal.aborted || this.#signal.aborted) throw this.#failure(error);
      throw new ApiError(`${this.url} gave no answer within ${PATIENCE_MS / 1_000} s`, {
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
    return new ApiError(`Cannot ask ${this.url}: ${whyNot(error)}`, { exitCode: EXIT.unavailable });
  }
}

/** In words; the runtime's text contains the address with its query. */
function whyNot(error: unknown): string {
  const texts: string[] = [];
  for (let at = error; at instanceof Error; at = at.cause) texts.push(at.message);
  const text = texts.join(" ");
  if (/refused/i.test(text)) return "nothing listens there. Does the service run, and has it opened the API?";
  if (/dns|resolve/i.test(text)) return "its name has no address";
  if (/certificate|tls/i.test(text)) return "its certificate is not trusted, or it does not speak TLS";
  if (error instanceof SyntaxError) return "the answer is not JSON";
  return "the connection broke or failed";
}

/** The problem in words, with the names of flags. */
function toError({ code = "", title = "", detail = "", problems = [], correlation_id: id }: ProblemDocument): ApiError {
  const flags = problems.map(({ field, value, wanted }) => {
    const name = flagOf(field);
    if (wanted.startsWith("at ")) return `${name} ${escapeHidden(JSON.stringify(value))}: ${wanted}`;
    return value === null ? `${name}: ${wanted}` : `${name} ${escapeHidden(JSON.stringify(value))} is not ${wanted}`;
  });
  const text = problems.length > 1
    ? `${title}:\n${flags.map((one) => `  ${one}`).join("\n")}`
    : flags[0] ?? escapeHidden(detail);
  const trace = code === "internal" ? ` (correlation id ${id})` : "";
  return new ApiError(`${text}${trace}`, { code, exitCode: EXIT_CODES[code] ?? EXIT.failed });
}
