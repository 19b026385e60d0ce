/** A TCP proxy that counts the commands which a client sends to Redis, so that any client is counted alike. */

const HOST = "127.0.0.1";
const DOLLAR = 0x24, STAR = 0x2a, CR = 0x0d, LF = 0x0a;

/** Counts commands in the bytes of one connection (RESP arrays of bulk strings), however they are cut into pieces. */
export class CommandCounter {
  /** Whole command heads seen so far. */
  commands = 0;
  #line = "";
  #skip = 0;

  /** Takes the next piece. */
  feed(piece: Uint8Array): void {
    let at = 0;
    while (at < piece.length) {
      if (this.#skip > 0) {
        const passed = Math.min(this.#skip, piece.length - at);
        this.#skip -= passed;
        at += passed;
        continue;
      }
      const byte = piece[at++]!;
      if (byte === LF) this.#endLine();
      else if (byte !== CR) this.#line += String.fromCharCode(byte);
    }
  }

  #endLine(): void {
    const kind = this.#line.charCodeAt(0);
    if (kind === STAR) this.commands++;
    if (kind === DOLLAR) this.#skip = Number(this.#line.slice(1)) + 2; // and its line end
    this.#line = "";
  }
}

/** A proxy that runs. */
export interface CountingProxy {
  /** `redis://` address for the client. */
  readonly url: string;
  /** Commands sent so far; a script is one. */
  readonly commands: number;
  /** Cuts every connection; resolves when nothing is left. */
  stop(): Promise<void>;
}

/** Starts a proxy on a free port in front of a server on this machine. */
export function startCountingProxy(serverPort: number): CountingProxy {
  const listener = Deno.listen({ hostname: HOST, port: 0 });
  const counters: CommandCounter[] = [];
  const open = new Set<Deno.Conn>();
  const running = new Set<Promise<void>>();
  const track = (work: Promise<void>) => {
    const tracked: Promise<void> = work.catch(() => {}).finally(() => running.delete(tracked));
    running.add(tracked);
  };
  const serve = async (client: Deno.Conn) => {
    open.add(client);
    const server = await Deno.connect({ hostname: HOST, port: serverPort });
    open.add(server);
    const counter = new CommandCounter();
    counters.push(counter);
    const close = () => {
      for (const conn of [client, server]) if (open.delete(conn)) closeQuietly(conn);
    };
    await Promise.allSettled([
      pass(client, server, (piece) => counter.feed(piece)).finally(close),
      pass(server, client, () => {}).finally(close),
    ]);
  };
  track((async () => {
    for await (const client of listener) {
      client.setNoDelay();
      track(serve(client).catch(() => closeQuietly(client)));
    }
  })());
  return {
    url: `redis://${HOST}:${listener.addr.port}`,
    get commands() {
      return counters.reduce((sum, { commands }) => sum + commands, 0);
    },
    async stop() {
      closeQuietly(listener);
      while (running.size > 0) {
        for (const conn of open) closeQuietly(conn);
        open.clear();
        await Promise.all(running);
      }
    },
  };
}

async function pass(from: Deno.Conn, to: Deno.Conn, look: (piece: Uint8Array) => void): Promise<void> {
  const buffer = new Uint8Array(64 * 1024);
  for (;;) {
    const count = await from.read(buffer);
    if (count === null) return;
    const piece = buffer.subarray(0, count);
    look(piece);
    for (let at = 0; at < count;) at += await to.write(piece.subarray(at));
  }
}

function closeQuietly(resource: { close(): void }): void {
  try {
    resource.close();
  } catch {
    // It was closed by the other side of it.
  }
}
