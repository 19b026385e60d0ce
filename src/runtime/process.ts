/** The only place that knows the environment, files and the process itself. */
import { cpuUsage } from "node:process";

/** Names by which the runtime's own `fetch` finds a proxy. It asks loopback through it, and knows no `host:port` in `NO_PROXY`. */
const PROXY_VARIABLES = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"].flatMap((name) => [
  name,
  name.toLowerCase(),
]);
/** Those that were taken out of the environment. */
const taken: Record<string, string> = {};

/**
 * Every environment variable that the process may see. Those that name a proxy are taken out of the process' environment
 * on the way: which requests go through it is ours to say, by the settings that they become.
 */
export function readEnvironment(): Record<string, string> {
  const environment = Deno.env.toObject();
  for (const name of PROXY_VARIABLES) {
    if (!Object.hasOwn(environment, name)) continue;
    taken[name] = environment[name]!;
    Deno.env.delete(name);
  }
  return { ...environment, ...taken };
}

/** Those of the variables that are set to what is not UTF-8: {@link readEnvironment} leaves them out. */
export function findUnreadable(names: readonly string[]): string[] {
  return names.filter((name) => {
    try {
      Deno.env.has(name);
      return false;
    } catch (error) {
      // Its message holds the value, so it goes nowhere.
      return error instanceof Deno.errors.InvalidData;
    }
  });
}

/** Most bytes of a file that is read whole: settings, a secret, certificates. */
export const MAX_FILE_BYTES = 1_048_576;

/**
 * The text of a file of at most {@link MAX_FILE_BYTES}; a pipe is read to its end. What is not UTF-8 becomes U+FFFD. @throws
 * what the runtime throws (`NotFound`, `PermissionDenied`, …), or an error named `FileTooLarge`.
 */
export function readTextFile(path: string): string {
  return readAtMost(path, MAX_FILE_BYTES);
}

/**
 * The text of a regular file of at most `maxBytes` bytes. What is not UTF-8 becomes U+FFFD. @throws what the runtime throws,
 * or an error named `NotAFile` or `FileTooLarge`. A pipe or device is not waited for.
 */
export function readSmallTextFile(path: string, maxBytes: number): string {
  if (!Deno.statSync(path).isFile) throw named("NotAFile");
  return readAtMost(path, maxBytes);
}

function readAtMost(path: string, maxBytes: number): string {
  using file = Deno.openSync(path);
  const bytes = new Uint8Array(maxBytes + 1);
  let length = 0;
  for (let read: number | null = 0; read !== null && length < bytes.length; length += read ?? 0) {
    read = file.readSync(bytes.subarray(length));
  }
  if (length > maxBytes) throw named(`FileTooLarge (more than ${maxBytes} bytes)`);
  return new TextDecoder().decode(bytes.subarray(0, length));
}

function named(name: string): Error {
  return Object.assign(new Error(name), { name });
}

/** {@link readTextFile}, or `undefined` where there is no such file. */
export function readTextFileIfAny(path: string): string | undefined {
  try {
    return readTextFile(path);
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
