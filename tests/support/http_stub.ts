/** A real HTTP listener that answers as it is told, well or badly, and writes down what it was asked. */

const HOST = "127.0.0.1";

/** One answer. Every answer ends its connection. */
export type StubAnswer =
  /** A whole answer, after `delayMs` (default 0). A redirect is a `status` with `headers: { location }`. */
  | {
    readonly status: number;
    readonly headers?: Record<string, string>;
    readonly body?: string;
    readonly delayMs?: number;
  }
  | {
    /**
     * `hang`: takes the request and says nothing. `hang_in_body`: status 200, headers, half a body, nothing more.
     * `reset`: breaks the connection (RST) before it has read the request's last byte. `close`: reads it, then closes
     * without a word. `endless`: status 200 and a body that never ends. `garbage`: bytes that are not HTTP.
     */
    readonly fault: "hang" | "hang_in_body" | "reset" | "close" | "endless" | "garbage";
  };

/** A request as it arrived. */
export interface StubRequest {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  /** By lower-case name. */
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
  /** Bytes of `endless` bodies sent so far. */
  readonly endlessBytes: number;
  /** What is answered from now on: the given ones in turn, the last one for ever. At first `{ status: 200 }`. */
  answer(...answers: [StubAnswer, ...StubAnswer[]]): void;
  /** Cuts what is open and stops listening; resolves when nothing is left. */
  stop(): Promise<void>;
}

/** Starts a stub on a free port, or on `port`. */
export function startHttpStub({ port = 0 }: { port?: number } = {}): HttpStub {
  return new Stub(port);
}

class Stub implements HttpStub {
  readonly requests: StubRequest[] = [];
  endlessBytes = 0;
  readonly #listener: Deno.TcpListener;
  readonly #connections = new Set<Deno.Conn>();
  readonly #running = new Set<Promise<void>>();
  readonly #stopping = new AbortController();
  #answers: StubAnswer[] = [{ status: 200 }];

  constructor(port: number) {
    this.#listener = Deno.listen({ hostname: HOST, port });
    this.#track(this.#accept());
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  get url(): string {
    return `http://${HOST}:${this.port}`;
  }

  get connections(): number {
    return this.#connections.size;
  }

  answer(...answers: [StubAnswer, ...StubAnswer[]]): void {
    this.#answers = answers;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#listener.close();
    for (const connection of this.#connections) closeQuietly(connection);
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  #track(work: Promise<void>): void {
    const done = work.catch(() => {}).finally(() => this.#running.delete(done));
    this.#running.add(done);
  }

  async #accept(): Promise<void> {
    for await (const connection of this.#listener) this.#track(this.#serve(connection));
  }

  async #serve(connection: Deno.Conn): Promise<void> {
    this.#connections.add(connection);
    try {
      const head = await readHead(connection);
      if (!head) return;
      const answer = (this.#answers.length > 1 ? this.#answers.shift() : this.#answers[0]) as StubAnswer;
      const isReset = "fault" in answer && answer.fault === "reset";
      // What is left unread when a connection is closed makes the kernel send RST instead of FIN.
      const body = isReset ? "" : await readBody(connection, head);
      this.requests.push({ ...head, body });
      await this.#reply(connection, answer);
    } finally {
      this.#connections.delete(connection);
      closeQuietly(connection);
    }
  }

  async #reply(connection: Deno.Conn, answer: StubAnswer): Promise<void> {
    if (!("fault" in answer)) {
      await sleep(answer.delayMs ?? 0, this.#stopping.signal);
      return await send(connection, formatAnswer(answer));
    }
    switch (answer.fault) {
      case "reset":
      case "close":
        return;
      case "garbage":
        return await send(connection, "\u0000\u0001 this is not HTTP\n\n");
      case "hang":
        return await untilClosed(connection);
      case "hang_in_body":
        await send(connection, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf");
        return await untilClosed(connection);
      case "endless":
        await send(connection, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n");
        for (const block = "x".repeat(1024);; this.endlessBytes += block.length) await send(connection, block);
    }
  }
}

type Head = Omit<StubRequest, "body">;

/** Reads byte by byte so as not to read into the body, and leaves the line feed that ends the head unread. */
async function readHead(connection: Deno.Conn): Promise<Head | undefined> {
  const bytes: number[] = [], one = new Uint8Array(1);
  do {
    if (await connection.read(one) === null) return undefined;
    bytes.push(one[0] as number);
  } while (String.fromCharCode(...bytes.slice(-3)) !== "\n\r" && String.fromCharCode(...bytes.slice(-3)) !== "\r\n\r");
  const [first = "", ...lines] = String.fromCharCode(...bytes).trimEnd().split("\r\n");
  const [method = "", target = ""] = first.split(" ");
  const headers = lines.map((line) => /^([^:]+):\s*(.*)$/.exec(line)).flatMap((match) =>
    match ? [[(match[1] as string).toLowerCase(), match[2] as string]] : []
  );
  return { method, target, headers: Object.fromEntries(headers) };
}

/** Reads the line feed that {@link readHead} left, then the body by its declared length. */
async function readBody(connection: Deno.Conn, { headers }: Head): Promise<string> {
  const bytes = new Uint8Array(1 + Number(headers["content-length"] ?? 0));
  for (let at = 0; at < bytes.length;) {
    const count = await connection.read(bytes.subarray(at));
    if (count === null) break;
    at += count;
  }
  return new TextDecoder().decode(bytes.subarray(1));
}

function formatAnswer({ status, headers = {}, body = "" }: Extract<StubAnswer, { status: number }>): string {
  const length = new TextEncoder().encode(body).length;
  const lines = Object.entries({ "content-length": String(length), connection: "close", ...headers });
  return `HTTP/1.1 ${status} Stub\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n${body}`;
}

async function send(connection: Deno.Conn, text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

async function untilClosed(connection: Deno.Conn): Promise<void> {
  const sink = new Uint8Array(1024);
  while (await connection.read(sink) !== null);
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}

function closeQuietly(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // Closed before.
  }
}
