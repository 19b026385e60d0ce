/** The terminal: its size, one line of input, keys, and whether colours are wanted. */

import process from "node:process";

/** Size if there is no terminal. */
const NO_TERMINAL = { columns: 120, rows: 40 };

/** Whether standard output is a terminal. */
export function isOutTerminal(): boolean {
  return Deno.stdout.isTerminal();
}

/** Whether an operator can answer a question: both standard input and standard error are terminals. */
export function canAsk(): boolean {
  return Deno.stdin.isTerminal() && Deno.stderr.isTerminal();
}

/** Standard error as a stream, for a library that draws. */
export function errStream(): NodeJS.WritableStream {
  return process.stderr;
}

/** Whether to print colours: to a terminal, unless `NO_COLOR` is set (no-color.org). */
export function wantsColor(): boolean {
  return isOutTerminal() && !Deno.noColor;
}

/** Size of the terminal. */
export function terminalSize(): { readonly columns: number; readonly rows: number } {
  try {
    return Deno.consoleSize();
  } catch {
    return NO_TERMINAL;
  }
}

/** Reads one line of standard input, without its line feed. `null`: it ended, or the signal aborted. */
export async function readLine(signal: AbortSignal): Promise<string | null> {
  const decoder = new TextDecoder(), part = new Uint8Array(1_024);
  const over = new Promise<null>((resolve) => {
    if (signal.aborted) resolve(null);
    else signal.addEventListener("abort", () => resolve(null), { once: true });
  });
  for (let line = "";;) {
    const count = await Promise.race([Deno.stdin.read(part), over]);
    if (count === null) return line === "" ? null : line;
    line += decoder.decode(part.subarray(0, count), { stream: true });
    const end = line.indexOf("\n");
    if (end >= 0) return line.slice(0, end);
  }
}

/** Standard input as bytes. */
export function readInput(): ReadableStream<Uint8Array<ArrayBuffer>> {
  return Deno.stdin.readable;
}

/** A file as bytes. @throws if it cannot be opened */
export async function openFile(path: string): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
  return (await Deno.open(path, { read: true })).readable;
}

/** Calls `listener` with each text that is typed, without waiting for the enter key, until the signal aborts. */
export async function onKeys(listener: (text: string) => void, signal: AbortSignal): Promise<void> {
  if (!Deno.stdin.isTerminal()) return;
  Deno.stdin.setRaw(true, { cbreak: true });
  const over = new Promise<null>((resolve) => signal.addEventListener("abort", () => resolve(null), { once: true }));
  const part = new Uint8Array(64), decoder = new TextDecoder();
  try {
    while (!signal.aborted) {
      const count = await Promise.race([Deno.stdin.read(part), over]);
      if (count === null) return;
      listener(decoder.decode(part.subarray(0, count), { stream: true }));
    }
  } finally {
    Deno.stdin.setRaw(false);
  }
}
