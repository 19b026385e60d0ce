/** The other side of an HTTP exchange, byte by byte, for peers that misbehave. */

/** A connection as a peer sees it, with the head and body that came over it. */
export interface PeerRequest {
  readonly head: string;
  readonly body: string;
  readonly connection: Deno.TcpConn;
  /** Writes text; says `false` where the other side has hung up. */
  write(text: string): Promise<boolean>;
}

/** A peer that runs. */
export interface RawPeer {
  readonly url: URL;
  readonly requests: readonly PeerRequest[];
  /** Ends every connection. */
  stop(): Promise<void>;
}

/** Listens on a free port and hands each request to `answer`; the connection stays open when that is done. */
export function startRawPeer(answer: (request: PeerRequest) => Promise<unknown> | void): RawPeer {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const requests: PeerRequest[] = [];
  const connections: Deno.TcpConn[] = [];
  const serving: Promise<unknown>[] = [];
  const accepting = (async () => {
    for await (const connection of listener) {
      connections.push(connection);
      serving.push(
        (async () => {
          const request = await readRequest(connection);
          if (request === undefined) return;
          requests.push(request);
          await answer(request);
        })().catch(() => {}),
      );
    }
  })();
  return {
    url: new URL(`http://127.0.0.1:${listener.addr.port}/events`),
    requests,
    async stop() {
      listener.close();
      for (const connection of connections) closeQuietly(connection);
      await accepting;
      await Promise.all(serving);
    },
  };
}

/** Answers every request with a status line and a short body. */
export function startStatusPeer(status: () => number): RawPeer {
  return startRawPeer(({ write }) =>
    write(`HTTP/1.1 ${status()} X\r\nLocation: /other\r\nContent-Length: 2\r\n\r\nok`)
  );
}

/** Closes a connection that may be closed already. */
export function closeQuietly(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // It was.
  }
}

async function readRequest(connection: Deno.TcpConn): Promise<PeerRequest | undefined> {
  const buffer = new Uint8Array(65536);
  let text = "";
  for (;;) {
    const [head, body] = text.split("\r\n\r\n", 2);
    if (body !== undefined && body.length >= Number(/content-length: (\d+)/i.exec(head!)?.[1] ?? 0)) {
      return { head: head!, body, connection, write: (answer) => write(connection, answer) };
    }
    const bytes = await connection.read(buffer);
    if (bytes === null) return undefined;
    text += new TextDecoder().decode(buffer.subarray(0, bytes));
  }
}

async function write(connection: Deno.Conn, text: string): Promise<boolean> {
  const bytes = new TextEncoder().encode(text);
  try {
    for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
    return true;
  } catch {
    return false;
  }
}

/** Waits until the condition holds. @throws when it does not within the deadline. */
export async function eventually(
  condition: () => boolean | Promise<boolean>,
  { what = "the condition", withinMs = 5000 } = {},
): Promise<void> {
  const endMs = performance.now() + withinMs;
  while (!await condition()) {
    if (performance.now() > endMs) throw new Error(`Waited ${withinMs} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
