/** HTTP clients that misbehave: half requests, strange methods, no reading. */

const HOST = "127.0.0.1";

/** Connects and sends bytes, as `latin1` characters. The caller closes it. */
export async function connectAndSend(port: number, text: string): Promise<Deno.TcpConn> {
  const connection = await Deno.connect({ hostname: HOST, port });
  await trickle(connection, text);
  return connection;
}

/** Sends more bytes. @returns whether the other side still accepts them. */
export async function trickle(connection: Deno.TcpConn, text: string): Promise<boolean> {
  const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
  try {
    for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
    return true;
  } catch {
    return false;
  }
}

/** Reads until the other side closes or breaks the connection. */
export async function readToEnd(connection: Deno.TcpConn): Promise<string> {
  const buffer = new Uint8Array(65_536);
  let text = "";
  for (;;) {
    const count = await connection.read(buffer).catch(() => null);
    if (count === null) return text;
    text += new TextDecoder("latin1").decode(buffer.subarray(0, count));
  }
}

/** Sends a request and reads to the end. */
export async function exchange(port: number, text: string): Promise<string> {
  using connection = await connectAndSend(port, text);
  return await readToEnd(connection);
}

/** The status of an answer; 0 if there is none. */
export function statusOf(answer: string): number {
  return Number(/^HTTP\/1\.[01] (\d{3})/.exec(answer)?.[1] ?? 0);
}
