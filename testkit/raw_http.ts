/** Sends any bytes to a port and returns the answer. */

/** The answer. */
export interface RawAnswer {
  /** The statuses of all answers, in order. */
  readonly statuses: readonly number[];
  /** All received bytes, one character per byte. */
  readonly text: string;
  /** Whether the other side closed the connection after our half was closed. */
  readonly isClosed: boolean;
}

/** After this time without a byte we close our half; after {@link PATIENCE_MS} more we give up. */
const QUIET_MS = 250;
const PATIENCE_MS = 10_000;

/** Sends `request` on a new connection and reads until the other side closes it. Rejects only if it cannot connect. */
export async function sendRaw(port: number, request: Uint8Array): Promise<RawAnswer> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  let isClosed = true;
  const giveUp = () => {
    isClosed = false;
    connection.close();
  };
  let timer: ReturnType<typeof setTimeout> | undefined;
  const expect = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      timer = setTimeout(giveUp, PATIENCE_MS);
      connection.closeWrite().catch(() => {}); // The other side may have closed.
    }, QUIET_MS);
  };
  const written = writeAll(connection, request, expect);
  let text = "";
  try {
    const buffer = new Uint8Array(65_536);
    for (let read = 0; read !== null; read = (await connection.read(buffer))!) {
      expect();
      text += String.fromCharCode(...buffer.subarray(0, read));
    }
  } catch {
    // Reset or timeout: keep what came before.
  }
  await written;
  clearTimeout(timer);
  const statuses = [...text.matchAll(/HTTP\/1\.[01] (\d{3}) /g)].map((match) => Number(match[1]));
  return { statuses, text, isClosed };
}

async function writeAll(connection: Deno.Conn, bytes: Uint8Array, onProgress: () => void): Promise<void> {
  try {
    for (let at = 0; at < bytes.length;) {
      at += await connection.write(bytes.subarray(at, at + 1_048_576));
      onProgress();
    }
  } catch {
    // The server may close in the middle of a request that it refuses.
  }
}
