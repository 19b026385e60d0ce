/** One client's connection: one request, one answer, the end. */
import { Buffer } from "node:buffer";
import type { Clock } from "../runtime/clock.ts";
import { textReply, toResponse } from "./reply.ts";
import { findHeadEnd, type PageRequest, parseHead } from "./request_head.ts";

/** Longest head of a request: its first line and all its headers. */
export const MAX_HEAD_BYTES = 16_384;
/** How long a connection may take from its first moment to its last. */
const LIMIT_MS = 10_000;
/** How long a client that was answered may take to close: cutting at once could take the answer from it. */
const LINGER_MS = 1_000;

const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  400: "Bad Request",
  404: "Not Found",
  405: "Method Not Allowed",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  503: "Service Unavailable",
  505: "HTTP Version Not Supported",
};

/** What a connection needs of a socket; a `Deno.TcpConn` is one. */
export interface Socket {
  read(into: Uint8Array): Promise<number | null>;
  write(bytes: Uint8Array): Promise<number>;
  closeWrite(): Promise<void>;
  close(): void;
}

/** What {@link HttpConnection} needs beside its socket. */
export interface ConnectionOptions {
  /** Does not reject. */
  readonly answer: (request: PageRequest) => Promise<Response>;
  readonly clock: Clock;
  /** How long the whole connection may take. Default 10,000. */
  readonly limitMs?: number;
}

/** How far a connection has come: its head is awaited, its answer made and written, or all is said. */
export type Stage = "asking" | "answering" | "answered";

/** Serves one client. Holds no more than a head and an answer, whatever the client sends, and no longer than its limit. */
export class HttpConnection {
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  readonly #cut = new AbortController();
  #stage: Stage = "asking";

  constructor(socket: Socket, options: ConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
  }

  /** How far it has come. */
  get stage(): Stage {
    return this.#stage;
  }

  /** Resolves when the connection is closed, with whether its time ran out. Whatever the client does, it does not reject. Call it once. */
  async serve(): Promise<{ isLate: boolean }> {
    const { clock, limitMs = LIMIT_MS } = this.#options;
    // Deno 2.6 lets a write hang that waits while its socket is closed: the race ends all the same.
    const limit = clock.sleep(limitMs, this.#cut.signal).then(() => !this.#cut.signal.aborted);
    try {
      return { isLate: await Promise.race([this.#exchange().then(() => false), limit]) };
    } finally {
      this.cut();
    }
  }

  /** Closes at once, whatever is under way. Safe to call twice. */
  cut(): void {
    if (this.#cut.signal.aborted) return;
    this.#cut.abort();
    this.#socket.close();
  }

  async #exchange(): Promise<void> {
    const head = await this.#readHead();
    if (head === null) return;
    this.#stage = "answering";
    const isWritten = await this.#write(await this.#encode(await this.#answer(head)));
    if (!isWritten) return;
    this.#stage = "answered";
    await this.#linger();
  }

  /** The head as Latin-1 text; "too long" where it is; `null` where the client went without one. */
  async #readHead(): Promise<string | typeof TOO_LONG | null> {
    const bytes = new Uint8Array(MAX_HEAD_BYTES);
    for (let length = 0; length < bytes.length;) {
      const count = await orGone(this.#socket.read(bytes.subarray(length)));
      if (count === null) return null;
      const end = findHeadEnd(bytes.subarray(0, length + count), length);
      if (end !== -1) return Buffer.from(bytes.buffer, 0, end).toString("latin1");
      length += count;
    }
    return TOO_LONG;
  }

  #answer(head: string | typeof TOO_LONG): Response | Promise<Response> {
    if (head === TOO_LONG) return toResponse(textReply(`Headers of more than ${MAX_HEAD_BYTES} bytes\n`, 431));
    const parsed = parseHead(head);
    if ("request" in parsed) return this.#options.answer(parsed.request);
    return toResponse(textReply(`${REASONS[parsed.refusal]}\n`, parsed.refusal));
  }

  async #encode(response: Response): Promise<Uint8Array> {
    const body = new Uint8Array(await response.arrayBuffer());
    const head = ENCODER.encode([
      `HTTP/1.1 ${response.status} ${REASONS[response.status] ?? ""}`,
      ...[...response.headers].map(([name, value]) => `${name}: ${value}`),
      `date: ${new Date(this.#options.clock.nowMs()).toUTCString()}`,
      "connection: close",
      "\r\n",
    ].join("\r\n"));
    const bytes = new Uint8Array(head.length + body.length);
    bytes.set(head);
    bytes.set(body, head.length);
    return bytes;
  }

  async #write(bytes: Uint8Array): Promise<boolean> {
    for (let at = 0; at < bytes.length;) {
      const count = await orGone(this.#socket.write(bytes.subarray(at)));
      if (count === null) return false;
      at += count;
    }
    return true;
  }

  /** Says that there is no more, and drops what still comes (a body, further requests) until the client closes too. */
  async #linger(): Promise<void> {
    await orGone(this.#socket.closeWrite());
    await Promise.race([this.#readToEnd(), this.#options.clock.sleep(LINGER_MS, this.#cut.signal)]);
  }

  async #readToEnd(): Promise<void> {
    const dropped = new Uint8Array(4_096);
    while (await orGone(this.#socket.read(dropped)) !== null);
  }
}

const TOO_LONG = Symbol("a head over the limit");
const ENCODER = new TextEncoder();

/** `null` where the socket failed: the client has gone, or was cut, and nobody is left to tell. */
function orGone<T>(operation: Promise<T>): Promise<T | null> {
  return operation.catch(() => null);
}
