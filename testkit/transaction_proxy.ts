/**
 * A fake Redis proxy (like Envoy): reads every command and sends it on through any of its connections. A transaction
 * has its own connection.
 */
import { Buffer } from "node:buffer";

const HOST = "127.0.0.1";
const LINE_END = "\r\n";

/** Options of the proxy. */
export interface TransactionProxyOptions {
  readonly port: number;
  /**
   * Connection of a single command: `shared` by all clients (default), or a free one of the pool: the `last` used or
   * the `longest` idle. A transaction uses one of the pool.
   */
  readonly takes?: "shared" | "last" | "longest";
  /** Whether WATCH uses the connection of the following transaction; otherwise the shared one. */
  readonly pinsWatch?: boolean;
  /** Whether it refuses scripts in transactions: EXEC then answers an empty array. */
  readonly refusesScripts?: boolean;
  /** Answer to HELLO; default: unknown command. `null`: closes the connection. */
  readonly hello?: string | null;
}

/** A running proxy. Use it with `await using`. */
export class TransactionProxy implements AsyncDisposable {
  readonly #options: TransactionProxyOptions;
  readonly #listener = Deno.listen({ hostname: HOST, port: 0 });
  readonly #shared: Promise<Upstream>;
  readonly #idle: Upstream[] = [];
  readonly #open = new Set<Deno.Conn>();
  readonly #work = new Set<Promise<void>>();
  /** Number of EXECs passed on. */
  transactions = 0;

  constructor(options: TransactionProxyOptions) {
    this.#options = options;
    this.#shared = Upstream.connect(options.port);
    this.#track(this.#accept());
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const connection of this.#open) close(connection);
    for (const connection of [await this.#shared, ...this.#idle]) connection.close();
    while (this.#work.size > 0) await Promise.all(this.#work);
  }

  /** An exclusive connection, until it is released. */
  async #take(): Promise<Upstream> {
    const { takes, port } = this.#options;
    // With two it alternates.
    while (takes === "longest" && this.#idle.length < 2) this.#idle.push(await Upstream.connect(port));
    return (takes === "longest" ? this.#idle.shift() : this.#idle.pop()) ?? await Upstream.connect(port);
  }

  async #askAny(raw: Uint8Array): Promise<Uint8Array> {
    if ((this.#options.takes ?? "shared") === "shared") return await (await this.#shared).ask(raw);
    const upstream = await this.#take();
    return await upstream.ask(raw).finally(() => this.#idle.push(upstream));
  }

  #track(work: Promise<void>): void {
    const done = work.catch(() => {}).finally(() => this.#work.delete(done));
    this.#work.add(done);
  }

  async #accept(): Promise<void> {
    for await (const client of this.#listener) this.#track(this.#serve(client));
  }

  /** Serves one client's commands in order. */
  async #serve(client: Deno.Conn): Promise<void> {
    this.#open.add(client);
    const { hello = "-ERR unknown command 'HELLO'", pinsWatch = false, refusesScripts = false } = this.#options;
    let own: Upstream | null = null, isInTransaction = false, isEmpty = true;
    try {
      for await (const { name, raw } of readRequests(client)) {
        if (name === "HELLO" && hello === null) return;
        if (name === "HELLO" || name === "CLIENT") {
          await writeAll(client, Buffer.from((name === "HELLO" ? hello : "+OK") + LINE_END));
          continue;
        }
        const begins = name === "MULTI" || (pinsWatch && name === "WATCH");
        if (begins) own ??= await this.#take();
        if (name === "MULTI") [isInTransaction, isEmpty] = [true, true];
        let reply: Uint8Array;
        if (isInTransaction && refusesScripts && name.startsWith("EVAL")) {
          reply = Buffer.from("-ERR 'EVALSHA' is not supported within a transaction" + LINE_END);
        } else if (name === "EXEC" && refusesScripts && isEmpty) {
          // Send nothing before the connection is chosen.
          await own?.ask(encode("DISCARD"));
          reply = Buffer.from(`*0${LINE_END}`);
        } else {
          if (isInTransaction && name !== "MULTI") isEmpty = false;
          if (name === "EXEC") this.transactions++;
          reply = await (own ? own.ask(raw) : this.#askAny(raw));
        }
        if (["EXEC", "DISCARD", "UNWATCH"].includes(name)) {
          if (own) this.#idle.push(own);
          own = null;
          isInTransaction = false;
        }
        await writeAll(client, reply);
      }
    } finally {
      own?.close();
      this.#open.delete(client);
      close(client);
    }
  }
}

/** A connection to Redis with replies in the order of requests. */
class Upstream {
  readonly #connection: Deno.Conn;
  readonly #waiting: PromiseWithResolvers<Uint8Array>[] = [];
  #written: Promise<void> = Promise.resolve();

  private constructor(connection: Deno.Conn) {
    this.#connection = connection;
    this.#read().catch(() => {}).finally(() => {
      for (const { reject } of this.#waiting) reject(new Error("closed"));
    });
  }

  static async connect(port: number): Promise<Upstream> {
    return new Upstream(await Deno.connect({ hostname: HOST, port }));
  }

  async ask(request: Uint8Array): Promise<Uint8Array> {
    const answer = Promise.withResolvers<Uint8Array>();
    this.#waiting.push(answer);
    this.#written = this.#written.then(() => writeAll(this.#connection, request)).catch(answer.reject);
    return await answer.promise;
  }

  close(): void {
    close(this.#connection);
  }

  async #read(): Promise<void> {
    for await (const { raw } of readFrames(this.#connection)) this.#waiting.shift()?.resolve(raw);
  }
}

async function* readRequests(client: Deno.Conn): AsyncGenerator<{ name: string; raw: Uint8Array }> {
  for await (const { raw } of readFrames(client)) {
    const name = /^\*\d+\r\n\$\d+\r\n([^\r]*)/.exec(raw.subarray(0, 64).toString("latin1"))?.[1] ?? "";
    yield { name: name.toUpperCase(), raw };
  }
}

/** Splits complete RESP 2 values. */
async function* readFrames(connection: Deno.Conn): AsyncGenerator<{ raw: Buffer }> {
  let kept = Buffer.alloc(0);
  const piece = new Uint8Array(64 * 1024);
  for (let count; (count = await connection.read(piece)) !== null;) {
    kept = Buffer.concat([kept, piece.subarray(0, count)]);
    for (let end; (end = endOfFrame(kept, 0)) > 0; kept = kept.subarray(end)) yield { raw: kept.subarray(0, end) };
  }
}

/** End of the value that begins at `at`; -1 if incomplete. */
function endOfFrame(bytes: Buffer, at: number): number {
  const lineEnd = bytes.indexOf(LINE_END, at);
  if (lineEnd < 0) return -1;
  let end = lineEnd + 2;
  const kind = String.fromCharCode(bytes[at]!), count = Number(bytes.toString("latin1", at + 1, lineEnd));
  if (kind === "$") return count < 0 ? end : end + count + 2 <= bytes.length ? end + count + 2 : -1;
  if (kind !== "*") return end;
  for (let i = 0; i < count; i++) if ((end = endOfFrame(bytes, end)) < 0) return -1;
  return end;
}

function encode(command: string): Uint8Array {
  return Buffer.from(`*1${LINE_END}$${command.length}${LINE_END}${command}${LINE_END}`);
}

async function writeAll(to: Deno.Conn, data: Uint8Array): Promise<void> {
  for (let at = 0; at < data.length;) at += await to.write(data.subarray(at));
}

function close(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // Already closed.
  }
}
