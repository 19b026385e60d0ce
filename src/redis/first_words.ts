/** What a server says to a connection of its own accord, before it closes it (too many clients, protected mode). */
import { connect } from "node:net";
import type { Server } from "../config/redis_url.ts";

/** Longest wait for it, in milliseconds, and most bytes that are read. */
const WAIT_MS = 1_000, MOST_BYTES = 500;

/**
 * Connects, sends nothing, and reads an error that the server sends by itself. A client that greets first loses it: its own
 * words meet a closed connection. @returns the error's text without the `-`; empty: there was none. Never rejects.
 */
export function hearFirstWords(server: Server, signal: AbortSignal): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const socket = connect(server);
    const end = () => {
      socket.destroy();
      signal.removeEventListener("abort", end);
      resolve(/^-([^\r\n]+)/.exec(text)?.[1] ?? "");
    };
    socket.setTimeout(WAIT_MS, end);
    socket.on("data", (data) => {
      text += data.toString("latin1");
      if (text.includes("\n") || text.length > MOST_BYTES) end();
    });
    for (const event of ["error", "end", "close"]) socket.once(event, end);
    if (signal.aborted) end();
    else signal.addEventListener("abort", end);
  });
}
