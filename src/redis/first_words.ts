/** Reads the error that a server sends before it closes a connection (too many clients, protected mode). */
import { connect } from "node:net";
import type { Server } from "../config/redis_url.ts";

/** Longest wait for the error, in milliseconds, and most bytes to read. */
const WAIT_MS = 1_000, MOST_BYTES = 500;

/**
 * Connects, sends nothing, and reads the error that the server sends. A client that sends first loses this error, because its
 * write fails on the closed connection. @returns the error's text without the `-`; empty if there is none. Never rejects.
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
