/** Sends bytes that need not be HTTP to a port, and says what came back. */

/** What came back. */
export interface RawAnswer {
  /** The statuses of the answers, in their order. */
  readonly statuses: readonly number[];
  /** All that came, one character a byte. */
  readonly text: string;
  /** Whether the other side closed the connection once nothing more was to come from here. */
  readonly isClosed: boolean;
}

/** After so long without a byte the other side is told that no more comes; after {@link PATIENCE_MS} more it is given up. */
const QUIET_MS = 250;
const PATIENCE_MS = 10_000;

/** Writes `request` over a connection of its own and reads until the other side closes it. Rejects only if it cannot connect. */
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
      connection.closeWrite().catch(() => {}); // The other side may have gone.
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
    // Reset, or given up: what came before counts.
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
    // It has closed, as it may in the middle of a request that it refuses.
  }
}
