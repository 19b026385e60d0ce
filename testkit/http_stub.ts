/**
 * A real HTTP server with configurable answers and faults, which records its requests.
 *
 * It uses Node's server because Deno's cannot break a connection halfway.
 */
import { Buffer } from "node:buffer";
import http from "node:http";
import type { AddressInfo } from "node:net";

const HOST = "127.0.0.1";
const GIGABYTE = 2 ** 30, BLOCK = "x".repeat(16_384);

/** Deliberate faults; see {@link StubAnswer}. */
export type Fault =
  | "hang"
  | "hang_in_headers"
  | "hang_in_body"
  | "reset"
  | "close"
  | "endless"
  | "gigabyte"
  | "garbage";

/** An answer. The connection closes after it. */
export type StubAnswer =
  /** A complete answer after `delayMs` (default 0). A redirect is a `status` with `headers: { location }`. */
  | {
    readonly status: number;
    readonly headers?: Record<string, string>;
    readonly body?: string;
    readonly delayMs?: number;
  }
  | {
    /**
     * After the complete request: `hang` sends nothing. `hang_in_headers`: the status and half a header, nothing
     * more. `hang_in_body`: headers, half a body, nothing more. `reset` breaks the connection (RST). `close` closes it
     * without a word. `endless`: a body that never ends. `gigabyte`: a body of 1 GiB, as its header says. `garbage`: bytes
     * that are not HTTP, then the end.
     */
    readonly fault: Fault;
    /** Status of a fault that sends one; default 200. */
    readonly status?: number;
  };

/** A received request. */
export interface StubRequest {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  /** Headers by lower-case name. */
  readonly headers: Record<string, string>;
  readonly body: string;
}

/** A running stub. */
export interface HttpStub {
  readonly port: number;
  /** `http://127.0.0.1:<port>`. */
  readonly url: string;
  /** All requests so far, oldest first. */
  readonly requests: readonly StubRequest[];
  /** Connections open now. */
  readonly connections: number;
  /** Bytes of `endless` and `gigabyte` bodies sent so far. */
  readonly endlessBytes: number;
  /** Sets the next answers in order; the last one repeats. Initially `{ status: 200 }`. */
  answer(...answers: [StubAnswer, ...StubAnswer[]]): void;
  /** Cuts all connections and stops listening. Resolves when everything is closed. */
  stop(): Promise<void>;
}

/** Starts a stub on a free port of loopback, or on `port`. */
export async function startHttpStub({ port = 0 }: { port?: number } = {}): Promise<HttpStub> {
  const stub = new Stub();
  await stub.listen(port);
  return stub;
}

class Stub implements HttpStub {
  readonly requests: StubRequest[] = [];
  endlessBytes = 0;
  readonly #server: http.Server;
  readonly #sockets = new Set<unknown>();
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  #answers: StubAnswer[] = [{ status: 200 }];

  constructor() {
    this.#server = http.createServer((request, response) => this.#take(request, response));
    this.#server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => this.#sockets.delete(socket));
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://${HOST}:${this.port}`;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  answer(...answers: [StubAnswer, ...StubAnswer[]]): void {
    this.#answers = answers;
  }

  listen(port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, HOST, resolve);
    });
  }

  stop(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  #take(request: http.IncomingMessage, response: http.ServerResponse): void {
    const parts: Uint8Array[] = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      this.requests.push({
        method: request.method ?? "",
        target: request.url ?? "",
        headers: request.headers as Record<string, string>,
        body: Buffer.concat(parts).toString(),
      });
      this.#reply(response);
    });
  }

  #reply(response: http.ServerResponse): void {
    const answer = (this.#answers.length > 1 ? this.#answers.shift() : this.#answers[0]) as StubAnswer;
    if ("fault" in answer) return this.#misbehave(response, answer);
    const { status, headers = {}, body = "", delayMs = 0 } = answer;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      response.writeHead(status, { "content-length": Buffer.byteLength(body), connection: "close", ...headers }).end(
        body,
      );
    }, delayMs);
    this.#timers.add(timer);
  }

  #misbehave(response: http.ServerResponse, { fault, status = 200 }: { fault: Fault; status?: number }): void {
    const socket = response.socket;
    if (!socket) return; // the client has gone
    switch (fault) {
      case "hang":
        return;
      case "hang_in_headers":
        socket.write(`HTTP/1.1 ${status} So\r\ncontent-`);
        return;
      case "hang_in_body":
        response.writeHead(status, { "content-length": 1_000 }).write("half");
        return;
      case "reset":
        socket.resetAndDestroy();
        return;
      case "close":
        socket.destroy();
        return;
      case "garbage":
        socket.end("this is not HTTP\n\n");
        return;
      case "endless":
        response.writeHead(status, { "content-type": "text/plain" });
        return this.#send(response, Infinity);
      case "gigabyte":
        response.writeHead(status, { "content-length": GIGABYTE });
        return this.#send(response, GIGABYTE);
    }
  }

  /** Sends each block after the previous one has left, until all are sent or the connection is closed. */
  #send(response: http.ServerResponse, bytes: number): void {
    if (bytes <= 0) return void response.end();
    response.write(BLOCK, (error) => {
      if (error || response.destroyed) return;
      this.endlessBytes += BLOCK.length;
      this.#send(response, bytes - BLOCK.length);
    });
  }
}
