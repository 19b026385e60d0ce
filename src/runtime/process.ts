/** The only place that knows the environment, files and the process itself. */
import { cpuUsage } from "node:process";

/** Every environment variable that the process may see. */
export function readEnvironment(): Record<string, string> {
  return Deno.env.toObject();
}

/** A file's text. @throws what the runtime throws (`NotFound`, `PermissionDenied`, …). */
export function readTextFile(path: string): string {
  return Deno.readTextFileSync(path);
}

/**
 * The text of a regular file of at most `maxBytes` bytes. What is not UTF-8 becomes U+FFFD. @throws what the runtime throws,
 * or an error named `NotAFile` or `FileTooLarge`. A pipe or device is not waited for.
 */
export function readSmallTextFile(path: string, maxBytes: number): string {
  if (!Deno.statSync(path).isFile) throw named("NotAFile");
  using file = Deno.openSync(path);
  const bytes = new Uint8Array(maxBytes + 1);
  let length = 0;
  for (let read: number | null = 0; read !== null && length < bytes.length; length += read ?? 0) {
    read = file.readSync(bytes.subarray(length));
  }
  if (length > maxBytes) throw named("FileTooLarge");
  return new TextDecoder().decode(bytes.subarray(0, length));
}

function named(name: string): Error {
  return Object.assign(new Error(name), { name });
}

/** A file's text, or `undefined` where there is no such file. Other failures are thrown. */
export function readTextFileIfAny(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Writes to standard output, whole, without buffering. */
export function writeOut(text: string): void {
  writeAll(Deno.stdout, text);
}

/** Writes to standard error, whole, without buffering. */
export function writeErr(text: string): void {
  writeAll(Deno.stderr, text);
}

/** A reader that has gone (`| head`) is no failure of ours: the rest is dropped. */
function writeAll(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  const bytes = new TextEncoder().encode(text);
  try {
    for (let at = 0; at < bytes.length;) at += stream.writeSync(bytes.subarray(at));
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

/** Whether standard error is a terminal (then logs are text for people). */
export function isErrTerminal(): boolean {
  return Deno.stderr.isTerminal();
}

/** What this process uses and since when it runs. */
export interface ProcessUsage {
  readonly residentBytes: number;
  /** User and system time together. */
  readonly cpuSeconds: number;
  /** Seconds since the epoch. */
  readonly startedAtSeconds: number;
}

/** Reads the process' own usage. Needs no permission. */
export function readProcessUsage(): ProcessUsage {
  const { user, system } = cpuUsage();
  return {
    residentBytes: Deno.memoryUsage().rss,
    cpuSeconds: (user + system) / 1e6,
    startedAtSeconds: performance.timeOrigin / 1000,
  };
}
